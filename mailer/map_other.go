//go:build !unix

package mailer

import "os"

// mapFile returns nil: the mark is written with WriteAt.
func mapFile(*os.File, int) []byte { return nil }

func unmapFile([]byte) error { return nil }
