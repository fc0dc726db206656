package widgets

import (
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"

	"postroom/assets/theme"
	"postroom/assets/words"
)

// newBenchGrid is as large as the one of the contacts.
func newBenchGrid(b *testing.B) *DataGrid {
	b.Helper()
	a := test.NewTempApp(b)
	a.Settings().SetTheme(theme.New(theme.Light))
	g := NewDataGrid(words.For(words.English),
		Column{Key: "address", Title: "Address", Width: 240, Grow: 3, Sortable: true}, Column{Key: "name", Title: "Name", Width: 140, Grow: 2, Sortable: true},
		Column{Key: "lists", Title: "Lists", Width: 120, Grow: 2}, Column{Key: "mail", Title: "Mail", Width: 150, Grow: 1}, Column{Key: "added", Title: "Added", Width: 120})
	w := test.NewTempWindow(b, g)
	w.SetPadded(false)
	w.Resize(fyne.NewSize(816, 670))
	var rows []Row
	for i := range 100 {
		rows = append(rows, Row{ID: int64(i + 1), Cells: []Cell{{Text: testRows(i, 1)[0].Cells[0].Text}, {Text: "Anna Köhler"}, {Text: "Regulars, Guests, and some more lists", Tone: theme.Quiet}, {}, {Text: "26 Nov 15:15", Tone: theme.Quiet}}})
	}
	g.SetPage(rows, 1, 1_000_000)
	w.Canvas().Focus(g)
	return g
}

// BenchmarkGridKeys is a step by the arrow keys, which is one frame's work beside
// its drawing.
func BenchmarkGridKeys(b *testing.B) {
	g := newBenchGrid(b)
	for i := 0; b.Loop(); i++ {
		if i/90%2 == 0 {
			key(g, fyne.KeyDown)
		} else {
			key(g, fyne.KeyUp)
		}
	}
}

// BenchmarkGridScroll scrolls as one click of a wheel does.
func BenchmarkGridScroll(b *testing.B) {
	g := newBenchGrid(b)
	for i := 0; b.Loop(); i++ {
		y := float32(i % 60 * 40)
		g.scroll.ScrollToOffset(fyne.NewPos(0, y))
	}
}

// BenchmarkGridPage shows another page.
func BenchmarkGridPage(b *testing.B) {
	g := newBenchGrid(b)
	rows := g.Rows()
	for b.Loop() {
		g.SetPage(rows, 101, 1_000_000)
	}
}
