package mailings

import (
	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/widget"
)

// moreMenu offers what is not done with every mailing.
func (e *editor) moreMenu(at fyne.CanvasObject) {
	env := e.v.env
	items := []*fyne.MenuItem{
		fyne.NewMenuItem(env.T("action.test_to_myself")+"…", e.askTest),
		fyne.NewMenuItem(env.T("composer.check.show"), e.showChecks),
	}
	c := env.Window.Canvas()
	pos := fyne.CurrentApp().Driver().AbsolutePositionForObject(at)
	widget.ShowPopUpMenuAtPosition(fyne.NewMenu("", items...), c, pos.AddXY(0, at.Size().Height))
}
