package accounts

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"postroom/post"
)

const (
	commandTimeout = time.Minute
	commandGrace   = 2 * time.Second // for the output's last holder after the end
	maxSecret      = 64 << 10        // bytes a password command may print
)

// Command runs an account's password command by the shell and takes what it
// prints, less the last newline, as the secret. What it says on its error
// output is thrown away: it could hold the secret. It keeps nothing. Safe for
// concurrent use.
type Command struct {
	timeout time.Duration
}

var _ Secrets = (*Command)(nil)

// NewCommand returns a Command that gives each run 60 seconds.
func NewCommand() *Command { return &Command{timeout: commandTimeout} }

// Get runs the command. One that is held since a restore is not run.
func (c *Command) Get(ctx context.Context, a post.Account) (string, error) {
	switch {
	case a.CommandHeld:
		return "", signInError(keyCommandHeld, "the password command came with a restored or copied ledger; confirm it before it runs", nil)
	case strings.TrimSpace(a.PasswordCommand) == "":
		return "", signInError(keyCommandMissing, "the account has no password command", nil)
	case ctx.Err() != nil:
		return "", cancelled(ctx.Err())
	}
	limited, stop := context.WithTimeout(ctx, c.timeout)
	defer stop()
	out := &cappedOutput{stop: stop}
	cmd := shellCommand(limited, a.PasswordCommand)
	cmd.Stdout = out
	cmd.WaitDelay = commandGrace
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return "", cancelled(ctx.Err())
	case out.over:
		return "", signInError(keyCommandTooLong, "the password command printed more than a password", nil)
	case limited.Err() != nil:
		return "", signInError(keyCommandTimeout, "the password command took too long", nil)
	case err != nil:
		return "", commandError(err)
	}
	secret := strings.TrimSuffix(strings.TrimSuffix(string(out.b), "\n"), "\r")
	return usable(secret)
}

// Set is a KindConflict: a command's secret is kept where the command finds it.
func (c *Command) Set(context.Context, post.Account, string) error { return errNotKept() }

// Delete has nothing to forget.
func (c *Command) Delete(context.Context, post.Account) error { return nil }

// commandError tells a failed run by its exit code alone.
func commandError(err error) *post.Error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() >= 0 {
		code := strconv.Itoa(exit.ExitCode())
		return signInError(keyCommandFailed, "the password command failed with exit code "+code, nil, code)
	}
	return signInError(keyCommandFailed, "the password command could not be run to its end", err, "-")
}

// cappedOutput keeps the first maxSecret bytes; beyond, it stops the writer.
type cappedOutput struct {
	b    []byte
	over bool
	stop func()
}

func (o *cappedOutput) Write(p []byte) (int, error) {
	room := maxSecret - len(o.b)
	if len(p) > room {
		o.over = true
		o.stop()
		o.b = append(o.b, p[:room]...)
		return room, io.ErrShortWrite
	}
	o.b = append(o.b, p...)
	return len(p), nil
}
