//go:build !e2e

package ui

// serveTests does nothing in a release: no test can drive this window.
func (s *Shell) serveTests() {}
