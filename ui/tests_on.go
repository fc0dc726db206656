//go:build e2e

package ui

import (
	"encoding/json"
	"net"
	"net/http"
	"os"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/widget"
)

// geometry is where a named widget is, in pixels of the window.
type geometry struct {
	ID         string  `json:"id"`
	X, Y, W, H float32 `json:"-"`
	Box        [4]int  `json:"box"` // x, y, width, height
	Visible    bool    `json:"visible"`
	Focused    bool    `json:"focused"`
	Enabled    bool    `json:"enabled"`
	Text       string  `json:"text"`
	Front      string  `json:"front"`
}

// serveTests answers, on the socket named by POSTROOM_E2E, where each named
// widget is, so that a test can click it with a real mouse.
func (s *Shell) serveTests() {
	path := os.Getenv("POSTROOM_E2E")
	if path == "" {
		return
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		s.d.Log.Error("serve tests", "err", err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/geo", func(w http.ResponseWriter, _ *http.Request) {
		var all []geometry
		fyne.DoAndWait(func() { all = s.geometry() })
		_ = json.NewEncoder(w).Encode(map[string]any{"front": s.front, "widgets": all})
	})
	_ = http.Serve(l, mux)
}

func (s *Shell) geometry() []geometry {
	c := s.win.Canvas()
	d := fyne.CurrentApp().Driver()
	var all []geometry
	s.ids.Each(func(id string, o fyne.CanvasObject) {
		g := geometry{ID: id, Enabled: true, Front: s.front}
		if d.CanvasForObject(o) == c {
			at, k := d.AbsolutePositionForObject(o), c.Scale()
			size := o.Size()
			g.Box = [4]int{int(at.X * k), int(at.Y * k), int(size.Width * k), int(size.Height * k)}
			g.Visible = o.Visible() && size.Width > 0 && attached(c, o)
		}
		if f, ok := o.(fyne.Focusable); ok {
			g.Focused = c.Focused() == f
		}
		if x, ok := o.(fyne.Disableable); ok {
			g.Enabled = !x.Disabled()
		}
		switch x := o.(type) {
		case *widget.Entry:
			g.Text = x.Text
		case interface{ AccessibilityLabel() string }:
			g.Text = x.AccessibilityLabel()
		}
		all = append(all, g)
	})
	return all
}

// attached reports whether o is in the tree that is shown now, or in an overlay.
func attached(c fyne.Canvas, o fyne.CanvasObject) bool {
	roots := append([]fyne.CanvasObject{c.Content()}, c.Overlays().List()...)
	for _, root := range roots {
		if within(root, o) {
			return true
		}
	}
	return false
}

func within(root, o fyne.CanvasObject) bool {
	if root == nil || !root.Visible() {
		return false
	}
	if root == o {
		return true
	}
	var kids []fyne.CanvasObject
	switch x := root.(type) {
	case *fyne.Container:
		kids = x.Objects
	case fyne.Widget:
		kids = rendered(x)
	}
	for _, k := range kids {
		if within(k, o) {
			return true
		}
	}
	return false
}
