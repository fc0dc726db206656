// Package font embeds the face in which Postroom writes Chinese, Japanese and
// Korean, so that the window looks the same whatever fonts a computer has. The
// face has hardly any Latin letters: those come from the toolkit's own face.
//
// Droid Sans Fallback, Copyright 2006-2010 Google Corp., Apache License 2.0:
// see LICENSE.txt and NOTICE.txt beside this file.
package font

import _ "embed"

// Name is the file name of the face.
const Name = "DroidSansFallbackFull.ttf"

//go:embed DroidSansFallbackFull.ttf
var droid []byte

// CJK returns the TrueType file. The bytes are shared: do not change them.
func CJK() []byte { return droid }
