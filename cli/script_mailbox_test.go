package cli_test

import (
	"context"
	"strconv"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"postroom/internal/testkit/authserver"
	"postroom/internal/testkit/imapbox"
)

// mailbox NAME starts a server for an empty mailbox until the script ends; its port
// is $NAME. The authorization server $AUTH decides about tokens.
func mailbox(ts *testscript.TestScript, _ bool, args []string) {
	tokens, ok := authServers.Load(ts.Getenv("AUTH"))
	if !ok {
		ts.Fatalf("start authserver AUTH first")
	}
	s, err := imapbox.Listen(authserver.User, func(token string) bool {
		return tokens.(*authserver.Server).Good(context.Background(), token)
	})
	ts.Check(err)
	ts.Defer(func() { ts.Check(s.Close()) })
	port := strconv.Itoa(s.Port)
	ts.Setenv(args[0], port)
	mailboxes.Store(port, s)
}

// mailboxes by port; scripts run side by side.
var mailboxes sync.Map

// shut NAME makes a mailbox refuse every token from now on.
func shut(ts *testscript.TestScript, _ bool, args []string) {
	s, ok := mailboxes.Load(ts.Getenv(args[0]))
	if !ok {
		ts.Fatalf("there is no mailbox %s", args[0])
	}
	s.(*imapbox.Server).Shut()
}
