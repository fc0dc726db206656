//go:build e2e

package ui

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"
)

// rendered returns what a widget draws.
func rendered(w fyne.Widget) []fyne.CanvasObject { return test.WidgetRenderer(w).Objects() }
