//go:build linux && !race

package window_test

import (
	"path/filepath"
	"strings"
	"testing"

	"postroom/internal/testkit/smtpscript"
)

// newMailing opens the composer on an empty draft.
func (w *window) newMailing() {
	w.t.Helper()
	w.key("ctrl+2")
	w.at("mailings")
	w.click("mailings.new")
	w.until("the composer", func(p *picture) bool {
		e, ok := p.named("compose.from")
		return ok && strings.Contains(e.Text, "@")
	})
}

// kill ends the program as a power cut of its own would: it gets no say.
func (w *window) kill() {
	w.t.Helper()
	if err := w.cmd.Process.Kill(); err != nil {
		w.t.Fatal(err)
	}
	_ = w.cmd.Wait()
	w.over = true
}

// TestDraftSurvivesKill kills the program after a pause, and while somebody types
// without one: the first loses nothing, the second no more than the last moment.
func TestDraftSurvivesKill(t *testing.T) {
	d := newDesk(t, 1280, 800, false)
	data := filepath.Join(d.home, "data")
	d.prepare(data, smtpscript.Start(t, smtpscript.Config{}), 0)
	w := d.open(data)
	w.newMailing()
	w.fill("compose.subject", "Winter hours")
	w.focus("compose.body")
	w.write("compose.body", "Dear guest,")
	w.says("draft · saved")
	w.kill()

	w = d.open(data)
	w.openDraft("Winter hours")
	w.holds("compose.body", "Dear guest,")
	w.focus("compose.body")
	w.key("ctrl+End")
	const first, more = "Dear guest,", " the nights are long and so are we from Tuesday to Sunday"
	w.do("xdotool", "type", "--delay", "60", more) // three seconds without a pause
	w.holds("compose.body", first+more)
	w.kill()

	w = d.open(data)
	w.openDraft("Winter hours")
	kept, all := "", first+more
	w.until("what was typed before the last moment", func(p *picture) bool {
		e, ok := p.named("compose.body")
		kept = e.Text
		_, rest := strings.CutPrefix(all, kept)
		return ok && rest && len(kept) > len("Dear guest, the")
	})
	t.Logf("of %d characters typed up to the kill, %d are there", len(all), len(kept))
	w.terminate()
}

func (w *window) openDraft(subject string) {
	w.t.Helper()
	w.key("ctrl+2")
	w.at("mailings")
	w.clickText(subject, 2)
	w.until("the draft", func(p *picture) bool {
		e, ok := p.named("compose.subject")
		return ok && e.Text == subject
	})
}

// BenchmarkTypingInLongText types into a body of 20 KB while the preview and the
// checks run. The goal is 50 ms a key. An entry of the toolkit takes longer than
// that before anything is drawn.
func BenchmarkTypingInLongText(b *testing.B) {
	d := newDesk(b, 1280, 800, false)
	data := filepath.Join(d.home, "data")
	d.prepare(data, smtpscript.Start(b, smtpscript.Config{}), 0)
	w := d.open(data)
	w.newMailing()
	w.fill("compose.subject", "A long letter")
	w.focus("compose.body")
	text := strings.Repeat("## Hours\n\nDear guest, the nights are **long** and so are we, from Tuesday to Sunday.\n\n- one\n- two\n\n", 210)
	d.clipboard(text)
	w.key("ctrl+v")
	w.holds("compose.body", text)
	w.says("draft · saved")
	const keys = 200
	more := strings.Repeat("quick ", keys/6+1)[:keys]
	for b.Loop() {
		w.do("xdotool", "type", "--delay", "4", more)
		text += more
		w.holds("compose.body", text)
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N*keys), "ms/key")
	b.ReportMetric(float64(len(text)), "body-bytes")
	w.picked("long-letter")
	w.terminate()
}
