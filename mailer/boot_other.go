//go:build !linux

package mailer

// bootID is empty where the system does not name its starts; then the progress
// mark is never trusted.
func bootID() string { return "" }
