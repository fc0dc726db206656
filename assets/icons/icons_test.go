package icons

import (
	"bytes"
	"image/png"
	"strings"
	"testing"

	"fyne.io/fyne/v2/test"

	"postroom/assets/theme"
)

func TestEveryNamedIconIsDrawn(t *testing.T) {
	a := test.NewTempApp(t)
	a.Settings().SetTheme(theme.New(theme.Light))
	named := []Icon{
		Home, Mailings, Contacts, Outbox, History, Accounts, Settings, Add, Attach, Back, Check, Close, Exclaim, Expand,
		File, First, Folder, Forward, Last, Pause, Question, Resume, Search, Send, Stop, Trash, Up, Warning,
	}
	for _, icon := range named {
		if !strings.HasPrefix(string(Of(icon).Content()), "<svg ") {
			t.Errorf("%s is no drawing", icon)
		}
	}
	if len(Names()) != len(named) {
		t.Errorf("%d drawn, %d named", len(Names()), len(named))
	}
	defer func() {
		if recover() == nil {
			t.Error("an unknown icon is not noticed")
		}
	}()
	Of("no such icon")
}

// The colour follows the theme, and so does the name the toolkit caches by.
func TestColourFollowsTheTheme(t *testing.T) {
	a := test.NewTempApp(t)
	a.Settings().SetTheme(theme.New(theme.Light))
	icon := In(Home, theme.Accent)
	name := icon.Name()
	if !bytes.Contains(icon.Content(), []byte("#1d5c9b")) {
		t.Errorf("not in the accent colour: %s", icon.Content())
	}
	a.Settings().SetTheme(theme.New(theme.Dark))
	if !bytes.Contains(icon.Content(), []byte("#6ba6e0")) || icon.Name() == name {
		t.Errorf("stayed light: %s", icon.Name())
	}
}

func TestAppIconIsSquare(t *testing.T) {
	img, err := png.Decode(bytes.NewReader(App.Content()))
	if err != nil {
		t.Fatal(err)
	}
	if b := img.Bounds(); b.Dx() != 512 || b.Dy() != 512 {
		t.Errorf("%v", b)
	}
}
