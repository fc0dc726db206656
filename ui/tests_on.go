//go:build e2e

package ui

import (
	"encoding/json"
	"net"
	"net/http"
	"os"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/container"

	"postroom/ui/widgets"
)

// geometry is one thing in the window: where it is, in pixels of the window, and
// what it says.
type geometry struct {
	ID      string `json:"id,omitempty"`
	Kind    string `json:"kind,omitempty"` // of what has no name: text, button
	Box     [4]int `json:"box"`            // x, y, width, height
	Layer   int    `json:"layer"`          // 0: the screen; above it the dialogs and menus
	Visible bool   `json:"visible"`
	Focused bool   `json:"focused"`
	Enabled bool   `json:"enabled"`
	Text    string `json:"text"`
}

// picture is all that a test sees of the window.
type picture struct {
	Front   string     `json:"front"`
	Layers  int        `json:"layers"`
	Widgets []geometry `json:"widgets"` // the named ones
	Seen    []geometry `json:"seen"`    // words and buttons, from top to bottom of the tree
}

// serveTests answers, on the socket named by POSTROOM_E2E, what is where in the
// window, so that a test can drive it with a real mouse and a real keyboard.
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
		var p picture
		fyne.DoAndWait(func() { p = s.picture() })
		_ = json.NewEncoder(w).Encode(p) // the test sees what it lacks
	})
	mux.HandleFunc("/frames", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(measureFrames(r.Context())) // until the test hangs up, or says stop
	})
	mux.HandleFunc("/frames/stop", func(http.ResponseWriter, *http.Request) { stopFrames() })
	server := &http.Server{Handler: mux} //nolint:gosec // only this user's tests reach the socket
	_ = server.Serve(l)                  // until the program ends
}

func (s *Shell) picture() picture {
	c := s.win.Canvas()
	look := &looker{canvas: c, scale: c.Scale(), found: map[fyne.CanvasObject]geometry{}}
	size := c.Size()
	whole := rect{w: size.Width, h: size.Height}
	roots := append([]fyne.CanvasObject{c.Content()}, c.Overlays().List()...)
	for i, root := range roots {
		look.layer = i
		look.at(root, fyne.Position{}, whole)
	}
	p := picture{Front: s.front, Layers: len(roots), Seen: look.seen}
	s.ids.Each(func(id string, o fyne.CanvasObject) {
		g, ok := look.found[o]
		if !ok {
			g = look.describe(o, rect{})
		}
		g.ID, g.Visible = id, ok
		p.Widgets = append(p.Widgets, g)
	})
	return p
}

// rect is a part of the window, in the toolkit's measure.
type rect struct{ x, y, w, h float32 }

func (r rect) within(o rect) rect {
	x, y := max(r.x, o.x), max(r.y, o.y)
	return rect{x, y, min(r.x+r.w, o.x+o.w) - x, min(r.y+r.h, o.y+o.h) - y}
}

// looker walks over what is drawn.
type looker struct {
	canvas fyne.Canvas
	scale  float32
	layer  int
	found  map[fyne.CanvasObject]geometry
	seen   []geometry
}

// at looks at o, whose parent begins at pos and shows no more than clip.
func (k *looker) at(o fyne.CanvasObject, pos fyne.Position, clip rect) {
	if o == nil || !o.Visible() {
		return
	}
	pos = pos.Add(o.Position())
	box := rect{pos.X, pos.Y, o.Size().Width, o.Size().Height}
	shown := box.within(clip)
	if shown.w > 0 && shown.h > 0 {
		g := k.describe(o, shown)
		k.found[o] = g
		switch x := o.(type) {
		case *canvas.Text:
			if x.Text != "" {
				g.Kind, g.Text = "text", x.Text
				k.seen = append(k.seen, g)
			}
		case *widgets.Button:
			g.Kind = "button"
			k.seen = append(k.seen, g)
		}
	}
	if _, ok := o.(*container.Scroll); ok {
		clip = shown
	}
	var kids []fyne.CanvasObject
	switch x := o.(type) {
	case *fyne.Container:
		kids = x.Objects
	case fyne.Widget:
		kids = rendered(x)
	}
	for _, kid := range kids {
		k.at(kid, pos, clip)
	}
}

func (k *looker) describe(o fyne.CanvasObject, shown rect) geometry {
	g := geometry{Enabled: true, Visible: true, Layer: k.layer, Box: [4]int{
		int(shown.x * k.scale), int(shown.y * k.scale), int(shown.w * k.scale), int(shown.h * k.scale),
	}}
	if f, ok := o.(fyne.Focusable); ok {
		g.Focused = k.canvas.Focused() == f
	}
	if x, ok := o.(fyne.Disableable); ok {
		g.Enabled = !x.Disabled()
	}
	switch x := o.(type) {
	case *widgets.Entry:
		g.Text = x.Text
	case *widgets.Select:
		g.Text = x.Selected
	case interface{ AccessibilityLabel() string }:
		g.Text = x.AccessibilityLabel()
	}
	return g
}
