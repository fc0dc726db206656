// Package cli is Postroom without its window: the same jobs, as commands with
// fixed names, flags, JSON keys and exit codes that scripts can rely on.
//
// Exit codes:
//
//	0  done
//	1  finished, but some deliveries failed, or the job could not be done
//	2  wrong usage or bad input: mend the command and try again
//	3  the user must decide or act: uncertain deliveries, a stopped account, a
//	   paused mailing, a locked keyring
//
// Results go to standard output, as plain words or with --json as one object a
// line. Errors go to standard error, one line each, with --json as an object
// with the keys error and kind. Neither ever holds a password. Times in JSON
// are RFC 3339 in UTC, null where there is none yet.
//
// One file holds one group of commands; root.go puts them together and turns
// errors into exit codes, output.go knows how things are printed, wire.go
// connects a mailer to the accounts and to the practice trap.
package cli
