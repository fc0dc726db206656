//go:build !unix

package cli

// privateFiles has nothing to do here: the user's folders have their own access
// lists, which new files inherit.
func privateFiles() {}
