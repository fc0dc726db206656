// Package icons holds the drawn icons of the window: plain strokes on a square
// of 24, in a colour of the current theme; and the icon of the program.
package icons

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"strings"

	"fyne.io/fyne/v2"

	"postroom/assets/theme"
)

//go:embed svg/*.svg
var files embed.FS

//go:embed Icon.png
var app []byte

// App is the icon of the program, 512 pixels square.
var App fyne.Resource = fyne.NewStaticResource("Icon.png", app)

// Icon is the name of one icon.
type Icon string

// The icons.
const (
	Home     Icon = "home"
	Mailings Icon = "mailings"
	Contacts Icon = "contacts"
	Outbox   Icon = "outbox"
	History  Icon = "history"
	Accounts Icon = "accounts"
	Settings Icon = "settings"

	Add      Icon = "add"
	Attach   Icon = "attach"
	Back     Icon = "back"
	Check    Icon = "check"
	Close    Icon = "close"
	Exclaim  Icon = "exclaim"
	Expand   Icon = "expand"
	File     Icon = "file"
	First    Icon = "first"
	Folder   Icon = "folder"
	Forward  Icon = "forward"
	Last     Icon = "last"
	Pause    Icon = "pause"
	Question Icon = "question"
	Resume   Icon = "resume"
	Search   Icon = "search"
	Send     Icon = "send"
	Stop     Icon = "stop"
	Trash    Icon = "trash"
	Up       Icon = "up"
	Warning  Icon = "warning"
)

// Names returns the names of all icons that are drawn.
func Names() []Icon {
	entries, err := fs.ReadDir(files, "svg")
	if err != nil { // embedded: it was there when the program was built
		panic("icons: " + err.Error())
	}
	names := make([]Icon, len(entries))
	for i, e := range entries {
		names[i] = Icon(strings.TrimSuffix(e.Name(), ".svg"))
	}
	return names
}

// resource is an icon in a colour. Its name and its content change with the
// theme, so an image that shows it follows when it is refreshed. It is not a
// fyne.ThemedResource: the toolkit recolours only what is filled.
type resource struct {
	icon   Icon
	colour fyne.ThemeColorName
	svg    []byte
}

// In returns an icon in the named colour of whatever theme is current when it
// is drawn. An unknown icon is a mistake of the program and panics.
func In(icon Icon, colour fyne.ThemeColorName) fyne.Resource {
	b, err := files.ReadFile("svg/" + string(icon) + ".svg")
	if err != nil {
		panic("icons: there is no icon " + string(icon))
	}
	return &resource{icon: icon, colour: colour, svg: b}
}

// Of returns an icon in the colour of text.
func Of(icon Icon) fyne.Resource { return In(icon, theme.Ink) }

func (r *resource) hex() string {
	red, green, blue, _ := theme.Colour(r.colour).RGBA()
	return fmt.Sprintf("%02x%02x%02x", red>>8, green>>8, blue>>8)
}

// Name returns a name that tells colours apart: the toolkit caches by it.
func (r *resource) Name() string { return string(r.icon) + "-" + r.hex() + ".svg" }

// Content returns the drawing in the colour.
func (r *resource) Content() []byte {
	return bytes.ReplaceAll(r.svg, []byte("#000000"), []byte("#"+r.hex()))
}
