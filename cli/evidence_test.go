//go:build linux

package cli

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"postroom/internal/testkit/smtpscript"
	"postroom/post"
	"postroom/storage"
)

// archived is a ledger from which evidence is written: Anna's message was taken
// and answered, Bert's refused, Carl's taken.
type archived struct {
	desk
	taken map[string][]byte // by recipient, as the server got it
}

func newArchived(t *testing.T) *archived {
	t.Helper()
	a := &archived{desk: desk{t, filepath.Join(t.TempDir(), "data")}, taken: map[string][]byte{}}
	got := make(chan smtpscript.Message, 10)
	s, err := smtpscript.Listen(smtpscript.Config{Mode: smtpscript.Plain, OnTaken: func(m smtpscript.Message) { got <- m }, Script: func(e smtpscript.Event) smtpscript.Action {
		if e.Phase == smtpscript.PhaseRCPT && e.Rcpt == "bert@example.org" {
			return smtpscript.Reply("550 5.1.1 <bert@example.org> is not here")
		}
		return smtpscript.Action{}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	host, port := s.HostPort()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	a.run(exitDone, "account", "add", "shop", "--email", "shop@shop.example", "--host", host, "--port", strconv.Itoa(port), "--tls", "none", "--auth", "none")
	people := file("people.csv", "email,name,city\nanna@example.org,Anna Amsel,Aachen\nbert@example.org,Bert Birke,Bonn\ncarl@example.org,Carl Clemens,Celle\n")
	a.run(exitDone, "contacts", "import", people, "--list", "All")
	a.run(exitDone, "send", "--account", "shop", "--list", "All", "--subject", "Salami for {{name}}", "--body", file("letter.md", "Dear *{{name}}* of {{city}}"),
		"--attach", file("menu.txt", strings.Repeat("Soup. ", 1000)), "--name", "Meatlovers")
	a.run(exitFailed, "run", "--until-empty")
	for range 2 {
		m := <-got
		a.taken[m.To[0]] = m.Data
	}
	a.answered(t)
	return a
}

// answered puts Anna's answer into the ledger.
func (a *archived) answered(t *testing.T) {
	l, err := storage.Open(t.Context(), a.data, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // the test is over
	for h, err := range l.EachDelivery(t.Context(), storage.HistoryFilter{Search: "anna"}) {
		if err != nil {
			t.Fatal(err)
		}
		ref, _, _ := strings.Cut(strings.Trim(h.MessageID, "<>"), "@")
		sum := sha256.Sum256([]byte("answer"))
		n, err := l.RecordReceipts(t.Context(), []storage.Incoming{{Refs: []string{ref}, Digest: sum[:], Says: []storage.Said{{
			Receipt: post.Receipt{Account: h.Account, Kind: post.ReceiptReplied, At: time.Now(), Source: "anna@example.org", Excerpt: []byte("From: anna@example.org\r\n\r\nYes!\r\n")},
		}}}}, storage.Position{Account: h.Account, Server: "s", Validity: 1, UID: 1})
		if err != nil || n.Matched != 1 {
			t.Fatal(n, err)
		}
	}
}

// write makes a pack and returns its path and last hash.
func (a *archived) write(args ...string) (path, hash string) {
	a.t.Helper()
	path = filepath.Join(a.t.TempDir(), "pack.zip")
	x := lines[evidenceJSON](a.t, a.run(exitDone, append([]string{"history", "evidence", path, "--json"}, args...)...))[0]
	return path, x.Hash
}

func (a *archived) verify(code int, path string) verifiedJSON {
	a.t.Helper()
	return lines[verifiedJSON](a.t, a.run(code, "history", "evidence", path, "--verify", "--json"))[0]
}

type packed struct {
	names []string
	files map[string][]byte
}

func unpack(t *testing.T, path string) packed {
	t.Helper()
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close() //nolint:errcheck // only read
	p := packed{files: map[string][]byte{}}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		p.names, p.files[f.Name] = append(p.names, f.Name), b
	}
	return p
}

func (p packed) pack(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range p.names {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(p.files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "changed.zip")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestEvidence: the pack holds the messages to the byte, every reply and what
// came back, and is found whole.
func TestEvidence(t *testing.T) {
	a := newArchived(t)
	path, hash := a.write("--mailing", "1")
	if v := a.verify(exitDone, path); !v.OK || v.Hash != hash || v.Deliveries != 3 || v.LeftOut != 0 {
		t.Errorf("%+v, want the hash %s", v, hash)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	p := unpack(t, path)
	for id, who := range map[string]string{"1": "anna@example.org", "3": "carl@example.org"} {
		if got := p.files["people/"+id+"/message.eml"]; len(got) == 0 || !bytes.Equal(got, a.taken[who]) {
			t.Errorf("the message to %s has %d bytes, the server got %d", who, len(got), len(a.taken[who]))
		}
	}
	if _, ok := p.files["people/2/message.eml"]; ok {
		t.Error("a message that was never handed over is in it")
	}
	all := string(p.files["records.jsonl"]) + string(p.files["people/2/record.json"]) + string(p.files["index.html"])
	for text, n := range map[string]int{
		`"code":550,"enhanced":"5.1.1"`: 1, "550 5.1.1 \\u003cbert@example.org\\u003e is not here": 2, "550 5.1.1 &lt;bert@example.org&gt; is not here": 1,
		`"kind":"replied"`: 1, `<a href="people/1/came-back-1.eml">`: 1, `<a href="people/3/message.eml">`: 1,
	} {
		if strings.Count(all, text) < n {
			t.Errorf("%s is not in it", text)
		}
	}
	if !strings.Contains(string(p.files["people/1/came-back-1.eml"]), "Yes!") {
		t.Error("the answer is not in it")
	}

	one, _ := a.write("--address", "Anna <ANNA@Example.org>")
	if v := a.verify(exitDone, one); v.Deliveries != 1 {
		t.Errorf("%+v", v)
	}
	for _, args := range [][]string{{}, {"--address", "nobody@example.org"}, {"--mailing", "9"}, {"--address", "no address"}} {
		name := filepath.Join(t.TempDir(), "none.zip")
		a.run(exitUsage, append([]string{"history", "evidence", name}, args...)...)
		if left, err := os.ReadDir(filepath.Dir(name)); err != nil || len(left) > 0 {
			t.Errorf("%v leaves %v, %v", args, left, err)
		}
	}
	a.run(exitUsage, "history", "evidence", path, "--verify", "--mailing", "1")
	a.run(exitUsage, "history", "evidence", filepath.Join(a.data, storage.FileName), "--verify")
}

// TestEvidenceAnonymous: nothing in the file says who got what.
func TestEvidenceAnonymous(t *testing.T) {
	a := newArchived(t)
	path, _ := a.write("--mailing", "1", "--anonymous")
	if v := a.verify(exitDone, path); !v.OK || v.Deliveries != 3 || v.LeftOut != 3 {
		t.Errorf("%+v", v)
	}
	full, _ := a.write("--mailing", "1")
	said := func(p packed, word string) bool {
		for name, b := range p.files {
			if strings.Contains(strings.ToLower(name+string(b)), word) {
				return true
			}
		}
		return false
	}
	anonymous, named := unpack(t, path), unpack(t, full)
	for _, word := range []string{"anna", "bert", "carl", "example.org", "amsel", "aachen", "salami", "meatlovers", "dear", "is not here"} {
		if said(anonymous, word) {
			t.Errorf("%q is in the anonymous pack", word)
		}
		if !said(named, word) {
			t.Errorf("%q is in no pack: the test looks for the wrong thing", word)
		}
	}
	if names := slices.Sorted(maps.Keys(anonymous.files)); !slices.Equal(names, []string{"index.html", "records.jsonl"}) {
		t.Errorf("files: %v", names)
	}
}

// TestEvidenceChanged plants changes, and each is seen: by the problems, or,
// where somebody made the whole chain anew, by the last hash.
func TestEvidenceChanged(t *testing.T) {
	a := newArchived(t)
	path, hash := a.write("--mailing", "1")
	replace := func(name, old, by string) func(*packed) {
		return func(p *packed) {
			if !bytes.Contains(p.files[name], []byte(old)) {
				t.Fatalf("%s does not hold %q", name, old)
			}
			p.files[name] = bytes.Replace(p.files[name], []byte(old), []byte(by), 1)
		}
	}
	remove := func(prefix string) func(*packed) {
		return func(p *packed) {
			p.names = slices.DeleteFunc(p.names, func(n string) bool { return strings.HasPrefix(n, prefix) })
		}
	}
	reorder := func(f func(all [][]byte) [][]byte) func(*packed) {
		return func(p *packed) {
			p.files["records.jsonl"] = bytes.Join(f(bytes.SplitAfter(bytes.TrimSuffix(p.files["records.jsonl"], []byte("\n")), []byte("\n"))), nil)
		}
	}
	for name, change := range map[string]func(*packed){
		"a message":               replace("people/1/message.eml", "Anna", "Emma"),
		"a reply":                 replace("people/2/record.json", "5.1.1", "5.2.2"),
		"a code":                  replace("records.jsonl", `"code":550`, `"code":250`),
		"a hash":                  replace("records.jsonl", `"hash":"`, `"hash":"00`),
		"spaces":                  replace("records.jsonl", `{"prev"`, `{ "prev"`),
		"a second key":            replace("records.jsonl", `{"prev"`, `{"body":{},"prev"`),
		"a salt":                  replace("people/3/salt", "", "00"),
		"the page":                replace("index.html", "carl@", "karl@"),
		"what came back":          replace("people/1/came-back-1.eml", "Yes", "No!"),
		"the mailing's words":     replace("people/0/mailing.json", "Meatlovers", "Vegetarians"),
		"a message taken out":     remove("people/1/message.eml"),
		"a salt taken out":        remove("people/1/salt"),
		"the page taken out":      remove("index.html"),
		"a line taken out":        reorder(func(all [][]byte) [][]byte { return slices.Delete(all, 2, 3) }),
		"the first line":          reorder(func(all [][]byte) [][]byte { return all[1:] }),
		"the last line":           reorder(func(all [][]byte) [][]byte { return all[:len(all)-1] }),
		"a line twice":            reorder(func(all [][]byte) [][]byte { return slices.Insert(all, 2, all[1]) }),
		"two lines exchanged":     reorder(func(all [][]byte) [][]byte { all[1], all[2] = all[2], all[1]; return all }),
		"garbage behind the last": reorder(func(all [][]byte) [][]byte { return append(all, []byte("\n{}")) }),
		"a file put in": func(p *packed) {
			p.names, p.files["people/2/message.eml"] = append(p.names, "people/2/message.eml"), []byte("forged")
		},
		"a file twice": func(p *packed) { p.names = append(p.names, "people/1/message.eml") },
	} {
		t.Run(name, func(t *testing.T) {
			a := archived{desk: desk{t, a.data}}
			p := unpack(t, path)
			change(&p)
			if v := a.verify(exitFailed, p.pack(t)); v.OK || len(v.Problems) == 0 {
				t.Errorf("not seen: %+v", v)
			}
		})
	}
	t.Run("a person taken out", func(t *testing.T) {
		p := unpack(t, path)
		remove("people/1/")(&p)
		if v := a.verify(exitDone, p.pack(t)); !v.OK || v.LeftOut != 1 || v.Hash != hash {
			t.Errorf("%+v", v)
		}
	})
	t.Run("the whole chain made anew", func(t *testing.T) {
		p := unpack(t, path)
		replace("records.jsonl", `"code":550`, `"code":250`)(&p)
		p.files["records.jsonl"] = rechain(t, p.files["records.jsonl"])
		if v := a.verify(exitDone, p.pack(t)); !v.OK || v.Hash == hash {
			t.Errorf("the last hash is the same: %+v", v)
		}
	})
}

// rechain computes the hashes as the page says, in code of its own.
func rechain(t *testing.T, records []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	prev := ""
	for line := range bytes.Lines(records) {
		var l struct {
			Body json.RawMessage `json:"body"`
		}
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256([]byte(prev + "\n" + string(l.Body)))
		hash := hex.EncodeToString(sum[:])
		out.WriteString(`{"prev":"` + prev + `","body":` + string(l.Body) + `,"hash":"` + hash + "\"}\n")
		prev = hash
	}
	return out.Bytes()
}
