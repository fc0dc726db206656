//go:build !ci || !darwin

package main

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/app"
)

// newApp returns the toolkit's application.
func newApp() fyne.App { return app.NewWithID("app.postroom.desktop") }
