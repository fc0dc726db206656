package main

import (
	"fyne.io/fyne/v2/app"
	"fyne.io/fyne/v2/widget"
	_ "modernc.org/sqlite"
)

func main() {
	a := app.New()
	w := a.NewWindow("Postroom")
	w.SetContent(widget.NewLabel("x"))
	w.ShowAndRun()
}
