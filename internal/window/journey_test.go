//go:build linux && !race

package window_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postroom/internal/testkit/smtpscript"
)

// people is a sheet as a shop exports it: twelve people, and one row that cannot
// be taken.
const people = `E-mail,First name,Last name,City
anna.koehler@example.org,Anna,Köhler,Graz
wang.xiaoming@example.org,小明,王,上海
li.na@example.org,娜,李,北京
jose.munoz@example.org,José,Muñoz,Sevilla
b.oconnor@example.org,Brigid,O'Connor,Cork
this is not an address,Nobody,Here,Wien
zofia.wojcik@example.org,Zofia,Wójcik,Kraków
chen.wei@example.org,伟,陈,深圳
marie.dupont@example.org,Marie,Dupont,Lyon
lars.soerensen@example.org,Lars,Sørensen,Aarhus
giulia.rossi@example.org,Giulia,Rossi,Torino
peter.huber@example.org,Peter,Huber,Linz
eva.novakova@example.org,Eva,Nováková,Brno
`

const peopleTaken = 12

// body is pasted: what a keyboard cannot type at once. It says something in
// Markdown that every recipient has the fields for.
const body = "Dear {{first_name}},\n\nour **autumn menu** is ready: 秋季菜单 🎉\n\n- pumpkin soup\n- roast duck\n- plum dumplings\n\nSee you in {{city}},\nBrauhaus\n"

// journey is the main job in one window.
type journey struct {
	*window
	server  *smtpscript.Server
	csv     string
	attach  string
	subject string
}

// TestMainJob adds an account, imports people, writes, rehearses, sends, and
// reads the history, with mouse and keyboard in the real window.
func TestMainJob(t *testing.T) {
	d := newDesk(t, 1280, 800, false)
	j := &journey{server: smtpscript.Start(t, smtpscript.Config{}), subject: "{{first_name}}, our autumn menu is ready"}
	files := t.TempDir()
	j.csv, j.attach = filepath.Join(files, "guests.csv"), filepath.Join(files, "menu.pdf")
	for path, content := range map[string]string{j.csv: people, j.attach: "%PDF-1.4\n" + strings.Repeat("menu ", 4000)} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	j.window = d.open(filepath.Join(d.home, "data"))
	j.firstStart()
	j.addAccount()
	j.importPeople()
	j.compose()
	j.rehearse()
	j.send()
	j.readHistory()
	j.lookAround("en-light")
	j.restyle()
	j.secondStart()
	step(t, "SIGTERM")
	j.terminate()
}

func (j *journey) firstStart() {
	step(j.t, "first start")
	j.at("home")
	j.says("Add the account you send from")
	j.picked("home-first-steps")
}

func (j *journey) addAccount() {
	step(j.t, "add an account")
	j.click("home.add_account")
	j.at("accounts")
	j.says("New account")
	host, port := j.server.HostPort()
	j.until("the cursor in the address", func(p *picture) bool {
		e, ok := p.named("accounts.form.email")
		return ok && e.Focused
	})
	// The keyboard alone, from field to field.
	j.write("accounts.form.email", "hello@brauhaus.example")
	j.key("Tab")
	j.write("accounts.form.from_name", "Brauhaus am Markt")
	j.key("Tab")
	j.write("accounts.form.name", "Brauhaus")
	// The mouse for the rest.
	j.choose("accounts.form.auth", "No sign-in")
	j.choose("accounts.form.tls", "None (only for this computer itself)")
	j.fill("accounts.form.host", host)
	j.fill("accounts.form.port", fmt.Sprint(port))
	j.picked("account-form")
	j.click("accounts.form.save")
	j.until("the account in the list", func(p *picture) bool {
		_, ok := p.named("accounts.test")
		return ok && p.says("Brauhaus am Markt")
	})
	step(j.t, "test the connection")
	j.click("accounts.test")
	j.says("Everything works: this account can send.")
	j.picked("account-tested")
}

func (j *journey) importPeople() {
	step(j.t, "import people")
	j.key("ctrl+3")
	j.at("contacts")
	j.click("contacts.import")
	j.fill("import.file", j.csv)
	j.fill("import.list", "Guests")
	j.picked("import")
	j.press("Next")
	j.says("Step 2 of 4")
	j.picked("import-columns")
	j.press("Next")
	j.says("12 new, 0 updated, 0 unchanged, 1 skipped")
	j.picked("import-plan")
	j.press("Import")
	j.says("Step 4 of 4")
	j.picked("import-result")
	j.press("Show the list")
	j.says("wang.xiaoming@example.org")
	j.picked("contacts")
}

func (j *journey) compose() {
	step(j.t, "write a mailing")
	j.key("ctrl+2")
	j.at("mailings")
	j.picked("mailings-empty")
	j.click("mailings.new")
	j.until("the composer", func(p *picture) bool {
		e, ok := p.named("compose.from")
		return ok && strings.Contains(e.Text, "hello@brauhaus.example")
	})
	j.choose("compose.to", "no list")
	j.choose("compose.to", "Guests · 12")
	j.fill("compose.subject", j.subject)
	j.focus("compose.body")
	j.clipboard(body)
	j.key("ctrl+v")
	j.holds("compose.body", body)
	j.says("1 of 12")
	j.until("the preview of the first person", func(p *picture) bool { return p.says("Anna, our autumn menu is ready") && p.says("pumpkin soup") })
	j.click("compose.next")
	j.says("2 of 12")
	j.click("compose.previous")
	j.says("1 of 12")

	step(j.t, "attach a file")
	j.click("compose.attach")
	j.until("the picker", func(p *picture) bool { return p.Layers == 2 && p.says("Changed") })
	j.key("ctrl+a")
	j.do("xdotool", "type", "--delay", "8", j.attach)
	j.picked("picker")
	j.key("Return")
	j.alone()
	j.says("menu.pdf")
	j.says("draft · saved")
	j.picked("composer")
}

// done waits until the ledger says that so many mailings are done and all people
// were reached in each.
func (j *journey) done(count int) {
	j.t.Helper()
	j.wait(fmt.Sprintf("%d finished mailings in the ledger", count), func() bool {
		all := j.mailings(j.data)
		n := 0
		for _, m := range all {
			if m.State == "done" && m.Counts["sent"] == peopleTaken {
				n++
			}
		}
		return len(all) == count && n == count
	})
}

func (j *journey) rehearse() {
	step(j.t, "rehearse")
	j.click("compose.rehearse")
	j.done(1)
	j.says("caught by the practice trap")
	j.until("twelve caught", func(p *picture) bool { return p.says("rehearsal · done") && p.says("12 caught by the practice trap") })
	j.picked("rehearsal")
	if n := len(j.server.Taken()); n != 0 {
		j.t.Fatalf("the rehearsal reached %d people outside", n)
	}
}

func (j *journey) send() {
	step(j.t, "send")
	j.press("Back")
	j.says("draft")
	j.clickText(j.subject, 2)
	j.until("the draft", func(p *picture) bool {
		e, ok := p.named("compose.subject")
		return ok && e.Text == j.subject
	})
	j.click("compose.send")
	j.until("the question", func(p *picture) bool { return p.Layers == 2 && p.says("12 people get this from") })
	j.picked("send-question")
	j.key("Return")
	j.done(2)
	j.until("twelve taken", func(p *picture) bool { return p.says("12 accepted by your provider") && p.says("done") })
	j.picked("sent")
	taken := j.server.Taken()
	if len(taken) != peopleTaken {
		j.t.Fatalf("the server took mail for %d people, want %d: %v", len(taken), peopleTaken, taken)
	}
	for who, n := range taken {
		if n != 1 {
			j.t.Errorf("%s got %d messages", who, n)
		}
	}
	for _, m := range j.server.Messages() {
		if strings.Contains(string(m.Data), "{{") {
			j.t.Errorf("a field was not filled in:\n%.600s", m.Data)
		}
	}
}

func (j *journey) readHistory() {
	step(j.t, "read the history")
	j.key("ctrl+5")
	j.at("history")
	j.says("1–24 of 24")
	j.fill("history.search", "xiaoming")
	j.until("one person", func(p *picture) bool {
		return p.says("wang.xiaoming@example.org") && !p.says("anna.koehler@example.org")
	})
	j.says("Accepted by your provider")
	j.key("ctrl+a", "BackSpace")
	j.says("1–24 of 24")
	j.says("Accepted by your provider")
	j.picked("history")
	j.click("history.open")
	j.until("the message", func(p *picture) bool { return p.Layers == 2 && p.says("our autumn menu is ready") && p.says("Dear") })
	j.picked("message")
	j.clickText("Source", 1)
	j.says("Message-ID:")
	j.picked("message-source")
	j.key("Escape")
	j.alone()
}

// places are the seven of the window; the keys are Ctrl+1 to Ctrl+7.
var places = []string{"home", "mailings", "contacts", "outbox", "history", "accounts", "settings"}

// lookAround goes to each place by its key and takes a picture.
func (j *journey) lookAround(style string) {
	step(j.t, "all places, "+style)
	for i, p := range places {
		j.key(fmt.Sprintf("ctrl+%d", i+1))
		j.at(p)
		j.picked(style + "-" + p)
	}
}

// restyle switches language and look while the program runs.
func (j *journey) restyle() {
	step(j.t, "Chinese")
	j.choose("settings.language", "简体中文")
	j.says("设置")
	step(j.t, "dark")
	j.choose("settings.theme", "深色")
	j.says("设置")
	j.lookAround("zh-dark")
	j.openDetail("zh-dark")
	step(j.t, "English again")
	j.key("ctrl+7")
	j.at("settings")
	j.choose("settings.language", "English")
	j.says("Settings")
	j.lookAround("en-dark")
	j.choose("settings.theme", "Light")
	j.says("Settings")
}

// openDetail takes a picture of one mailing and of the composer.
func (j *journey) openDetail(style string) {
	j.key("ctrl+2")
	j.at("mailings")
	j.clickText("our autumn menu is ready", 2)
	j.until("the mailing", func(p *picture) bool {
		_, ok := p.named("mailing.grid")
		return ok
	})
	j.picked(style + "-mailing")
	j.key("ctrl+1")
	j.at("home")
}

// secondStart starts the program once more: it raises the first and ends.
func (j *journey) secondStart() {
	step(j.t, "a second start")
	if _, code := j.cli(j.data); code != 0 {
		j.t.Errorf("the second start ended with exit %d, want 0", code)
	}
	j.look() // the first still answers
}
