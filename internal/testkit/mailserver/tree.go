//go:build linux

package mailserver

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

//go:embed fetch.sh
var fetchScript string

//go:embed files/asroot.c
var asRootSource string

const exitUnavailable = 69 // of fetch.sh

// Tree returns the folder of the unpacked packages, fetching them if the cache lacks them, and the LD_LIBRARY_PATH of
// their programs: for Postfix's smtp-sink and smtp-source, which need no server of ours.
func Tree(ctx context.Context) (dir, libraries string, err error) {
	if dir, err = fetchTree(ctx); err != nil {
		return "", "", err
	}
	libraries, err = libraryPath(dir)
	return dir, libraries, err
}

// fetchTree returns the folder of the unpacked packages, fetching them if the cache lacks them: of Postfix and Dovecot, or
// of what is named.
func fetchTree(ctx context.Context, what ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", fetchScript, "fetch.sh"}, what...)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	said := strings.TrimSpace(stderr.String())
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == exitUnavailable {
		return "", fmt.Errorf("%w: %s", ErrUnavailable, said)
	}
	if err != nil {
		return "", fmt.Errorf("fetch the mail server packages: %w: %s", err, said)
	}
	return strings.TrimSpace(stdout.String()), nil
}

// libraryPath is the value of LD_LIBRARY_PATH for the programs of a tree.
func libraryPath(tree string) (string, error) {
	list, err := os.ReadFile(filepath.Join(tree, "libpath.txt"))
	if err != nil {
		return "", err
	}
	var dirs []string
	for dir := range strings.SplitSeq(strings.Trim(string(list), ":\n"), ":") {
		dirs = append(dirs, filepath.Join(tree, dir))
	}
	return strings.Join(dirs, ":"), nil
}

// reachable returns a tree that the users of ids can enter: tree itself, or a copy (of links, where the file system
// allows) below run when a folder above it is closed to others, as /root is.
func reachable(ctx context.Context, tree, run string, ids identities) (string, error) {
	if !ids.root || openToAll(tree) == nil {
		return tree, nil
	}
	dir := filepath.Join(run, "tree")
	if out, err := exec.CommandContext(ctx, "cp", "-al", tree, dir).CombinedOutput(); err == nil {
		return dir, nil
	} else if err := os.RemoveAll(dir); err != nil {
		return "", fmt.Errorf("%w after %s", err, out)
	}
	if out, err := exec.CommandContext(ctx, "cp", "-a", tree, dir).CombinedOutput(); err != nil {
		return "", fmt.Errorf("copy the packages: %w: %s", err, out)
	}
	return dir, nil
}

// openToAll returns an error naming the first folder from dir upwards that other users can't enter.
func openToAll(dir string) error {
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o001 == 0 {
			return fmt.Errorf("%s is closed to other users (mode %v)", dir, info.Mode().Perm())
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

// identities are the users and groups the servers run under. No user is ever created.
type identities struct {
	root bool // we are root

	// Postfix's own: mail_owner, setgid_group and default_privs must all differ. Without root they are names only.
	owner, group, nobody string

	// deliver owns the Maildirs: the system user "mail" under root, else ourselves. Dovecot's processes use it, too.
	deliver                *user.User
	deliverName, groupName string
}

// chooseIdentities picks from the users every Debian has (base-passwd), as none of ours may be added.
func chooseIdentities() (identities, error) {
	ids := identities{root: os.Geteuid() == 0, owner: "list", group: "irc", nobody: "nobody"}
	for _, name := range []string{ids.owner, ids.nobody} {
		if _, err := user.Lookup(name); err != nil {
			return ids, fmt.Errorf("%w: the system user %s is missing: %w", ErrUnavailable, name, err)
		}
	}
	if _, err := user.LookupGroup(ids.group); err != nil {
		return ids, fmt.Errorf("%w: the system group %s is missing: %w", ErrUnavailable, ids.group, err)
	}
	var err error
	if ids.root {
		ids.deliver, err = user.Lookup("mail")
	} else {
		ids.deliver, err = user.Current()
	}
	if err != nil {
		return ids, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	group, err := user.LookupGroupId(ids.deliver.Gid)
	if err != nil {
		return ids, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	ids.deliverName, ids.groupName = ids.deliver.Username, group.Name
	return ids, nil
}

// own gives a folder or file to a user when we are root.
func (ids identities) own(path, name string) error {
	if !ids.root {
		return nil
	}
	owner, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(owner.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(owner.Gid)
	if err != nil {
		return err
	}
	return os.Chown(path, uid, gid)
}

// buildAsRoot compiles files/asroot.c into run, for a server without root.
func buildAsRoot(ctx context.Context, run string) error {
	compiler, err := exec.LookPath("cc")
	if err != nil {
		return fmt.Errorf("%w: without root a C compiler (cc) is needed: %w", ErrUnavailable, err)
	}
	source := filepath.Join(run, "asroot.c")
	if err := os.WriteFile(source, []byte(asRootSource), 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, compiler, "-shared", "-fPIC", "-O", "-o", filepath.Join(run, "asroot.so"), source)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("compile asroot.c: %w: %s", err, out)
	}
	return nil
}
