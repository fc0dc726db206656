// Package architecture holds the rules of the house as tests: which room may import which, which library stands behind
// which room, and how long a file may grow. The tables in rules_test.go are the rules; everything else reads and
// compares.
//
// The imports are read from the source files themselves, so what is only compiled on Windows or macOS is seen too.
package architecture
