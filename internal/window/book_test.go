//go:build linux && !race

package window_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// row finds the row of a grid that says text.
func row(text string) func(*picture) (thing, bool) {
	return func(p *picture) (thing, bool) { return p.find("text", text) }
}

// pick clicks a row with a key held down; none: a plain click.
func (w *window) pick(text, held string) {
	w.t.Helper()
	at := w.still("the row "+text, row(text))
	if held != "" {
		w.do("xdotool", "keydown", held)
	}
	w.mouse(at, 1)
	if held != "" {
		w.do("xdotool", "keyup", held)
	}
}

// inList asks the ledger who is on a list.
func (w *window) inList(list string) []string {
	w.t.Helper()
	out, code := w.cli(w.data, "contacts", "list", "--list", list)
	if code != 0 {
		return nil
	}
	return strings.Split(strings.TrimSpace(out), "\n")
}

// TestBook imports a file by the assistant, searches, selects several people with
// mouse and keyboard, puts them on a list, opens one, and finds the widths of the
// columns as they were left.
func TestBook(t *testing.T) {
	d := newDesk(t, 1280, 800, false)
	csv := filepath.Join(t.TempDir(), "guests.csv")
	if err := os.WriteFile(csv, []byte(people), 0o600); err != nil {
		t.Fatal(err)
	}
	w := d.open(filepath.Join(d.home, "data"))
	step(t, "import")
	w.key("ctrl+3")
	w.at("contacts")
	w.press("Import contacts")
	w.fill("import.file", csv)
	w.fill("import.list", "Guests")
	w.key("Return")
	w.says("Step 2 of 4")
	w.click("import.column.City")
	w.clickText("a field of another name…", 1) // and a dialog comes
	w.fill("import.field", "town")
	w.key("Return")
	w.until("the field's new name", func(p *picture) bool { e, ok := p.named("import.column.City"); return ok && e.Text == "{{town}}" })
	w.picked("columns")
	w.press("Next")
	w.says("12 new, 0 updated, 0 unchanged, 1 skipped")
	w.says("The address has no @")
	w.picked("plan")
	w.key("Return") // the focus is on Import
	w.says("Step 4 of 4")
	w.key("Return")
	w.until("the list", func(p *picture) bool {
		at, ok := p.named("contacts.lists")
		return ok && at.Enabled && p.says("1–12 of 12") && p.says("Guests")
	})
	w.picked("list")

	step(t, "search as one types")
	w.focus("contacts.search")
	w.do("xdotool", "type", "--delay", "8", "EXAMPLE.ORG")
	w.says("1–12 of 12")
	w.key("ctrl+a", "BackSpace")
	w.do("xdotool", "type", "--delay", "8", "linz")
	w.until("one person", func(p *picture) bool { return p.says("peter.huber@example.org") && p.says("1–1 of 1") })
	w.picked("search")
	w.key("ctrl+a", "BackSpace")
	w.says("1–12 of 12")

	step(t, "select several, and put them on a list")
	w.pick("anna.koehler@example.org", "")
	w.pick("chen.wei@example.org", "shift")
	w.says("3 selected")
	w.pick("zofia.wojcik@example.org", "ctrl")
	w.says("4 selected")
	w.key("Up")
	w.until("one selected", func(p *picture) bool { return !p.says("selected") })
	w.key("Home", "shift+Down", "shift+Down")
	w.says("3 selected")
	w.key("ctrl+a")
	w.says("12 selected")
	w.key("Escape", "Home", "space", "space")
	w.key("shift+Down", "shift+Down", "shift+Down")
	w.says("4 selected")
	w.picked("selected")
	w.click("contacts.add_to")
	w.choose("lists.pick", "a new list…")
	w.fill("lists.pick.name", "Regulars")
	w.key("Return")
	w.alone()
	w.wait("four people on the list", func() bool { return len(w.inList("Regulars")) == 4 })
	w.clickText("Regulars", 1)
	w.says("1–4 of 4")
	w.picked("regulars")

	step(t, "drag a column")
	w.dragDivider("Name", 60)
	step(t, "a person's page")
	w.clickText("b.oconnor@example.org", 2)
	w.until("the page", func(p *picture) bool {
		e, ok := p.named("person.field.town")
		return ok && e.Text == "Cork"
	})
	w.fill("person.field.town", "Galway")
	w.picked("person")
	w.click("person.save")
	w.wait("the new town in the ledger", func() bool {
		out, _ := w.cli(w.data, "contacts", "list", "--search", "galway")
		return strings.Contains(out, "b.oconnor@example.org")
	})
	w.click("person.back")
	w.says("1–4 of 4")
	wide := w.title("Lists")
	w.terminate()

	step(t, "once more")
	w = d.open(w.data)
	w.key("ctrl+3")
	w.at("contacts")
	w.says("1–12 of 12")
	w.until("the columns as they were left", func(p *picture) bool {
		at, ok := p.find("text", "Lists")
		return ok && w.title("Lists") == wide && at.Box[0] > 0
	})
	w.terminate()
}

// title returns where a column's title begins.
func (w *window) title(text string) int {
	w.t.Helper()
	for _, s := range w.look().Seen {
		if s.Kind == "text" && s.Text == text && s.Box[0] > 500 { // the card of the lists has one, too
			return s.Box[0]
		}
	}
	return 0
}

// dragDivider makes the column before the one named text wider by so much.
func (w *window) dragDivider(text string, by int) {
	w.t.Helper()
	before := w.still("the title "+text, row(text))
	x, y := before.Box[0]-8, before.Box[1]+before.Box[3]/2 // the cells' padding
	args := []string{"mousemove", "--window", w.x, fmt.Sprint(x), fmt.Sprint(y), "mousedown", "1"}
	for i := 1; i <= 6; i++ {
		args = append(args, "mousemove", "--window", w.x, fmt.Sprint(x+by*i/6), fmt.Sprint(y), "sleep", "0.05")
	}
	w.do("xdotool", append(args, "mouseup", "1")...)
	w.until("the column to be wider", func(p *picture) bool {
		at, ok := p.find("text", text)
		return ok && at.Box[0] >= before.Box[0]+by-10
	})
}
