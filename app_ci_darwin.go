//go:build ci && darwin

package main

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"
)

// newApp stands in where only compiling is checked ("make cross"): without cgo
// the toolkit's package app does not compile for macOS, with or without the tag
// ci (v2.8.1). No release is built this way.
func newApp() fyne.App { return test.NewApp() }
