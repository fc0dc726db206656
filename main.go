// Postroom is a desktop mailroom for small businesses. This file wires the
// rooms together: flags and paths, the log, the ledger, the mailer, and either
// the window or the command line.
package main

import (
	"context"
	"os"
	_ "time/tzdata" // time zones by name also where the system has none

	"postroom/cli"
)

// version is set by the packaging.
var version = "0.1.0-dev"

func main() {
	os.Exit(cli.Run(context.Background(), cli.Deps{Version: version, Window: nil}, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
