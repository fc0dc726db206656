//go:build !unix

package accounts

import "net"

// waiting reports whether the socket holds bytes that were not read yet. The
// system here cannot be asked without waiting, so only what was read counts.
func waiting(net.Conn) bool { return false }
