// Package window holds the test that uses the real program as its user does: on
// a display of its own (Xvfb), with a real mouse and keyboard (xdotool). It
// holds no code that the program needs.
//
// The program is built with the tag e2e, which makes it answer on a socket what
// is where in its window (ui/tests_on.go). Tests wait for conditions, which they
// read from there or from the ledger through the command line, and never for a
// time.
//
// POSTROOM_SHOTS names a folder that keeps the pictures taken on the way.
//
// The tests are left out under the race detector: what they drive is another
// process, built without it.
package window
