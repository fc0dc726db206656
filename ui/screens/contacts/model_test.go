package contacts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"postroom/assets/words"
	people "postroom/contacts"
	"postroom/post"
	"postroom/storage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openLedger(t *testing.T) *storage.Ledger {
	t.Helper()
	l, err := storage.Open(t.Context(), t.TempDir(), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// fill puts people p0 to p(n-1) on a list.
func fill(t *testing.T, l *storage.Ledger, list string, n int) post.List {
	t.Helper()
	_, _, _, _, err := l.ImportContacts(t.Context(), list, false, func(yield func(post.Contact, error) bool) {
		for i := range n {
			a := fmt.Sprintf("p%d@example.net", i)
			if !yield(post.Contact{Address: a, Key: a, Name: fmt.Sprintf("P %d", i), Fields: map[string]string{"n": fmt.Sprint(i)}}, nil) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	li, err := l.ListByName(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	return li
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

var english = words.For(words.English)

func silent(int64, int64) {}

// A column gets a role; the address and the name are one column each, and no two
// fields have one name. Nothing is mapped where nothing was changed.
func TestColumnRoles(t *testing.T) {
	l := openLedger(t)
	s, err := inspect(t.Context(), l, Source{Path: write(t, "a.csv", "E-Mail,Mail 2,Name,City,city\na@example.net,b@example.net,Anna,Graz,Linz\n")})
	if err != nil {
		t.Fatal(err)
	}
	roles := func() string {
		var all []string
		for _, c := range s.Columns {
			all = append(all, []string{"address", "name", c.Field, "-"}[c.Role])
		}
		return strings.Join(all, " ")
	}
	if got := roles(); got != "address mail_2 name city city_2" {
		t.Errorf("recognised as %s", got)
	}
	if o := s.options(l); o.Map != nil || o.Leave != nil {
		t.Errorf("nothing was changed, and %+v", o)
	}
	s.set(1, asAddress, "")
	s.set(4, asName, "")
	s.set(2, asField, "City")
	s.set(3, asNothing, "")
	if got := roles(); got != "e_mail_2 address city_2 - name" {
		t.Errorf("set to %s", got)
	}
	o := s.options(l)
	if o.Map["email"] != "Mail 2" || o.Map["name"] != "5" || o.Map["city_2"] != "Name" || o.Map["e_mail_2"] != "E-Mail" || !slices.Equal(o.Leave, []int{3}) {
		t.Errorf("%+v", o)
	}
	if !s.ready() {
		t.Error("the address is said, and it is not ready")
	}
	s.set(1, asNothing, "")
	if s.ready() {
		t.Error("no address, and it is ready")
	}
}

// What is chosen is what the import does: another address column, a field left
// out; the dry run counts the same and writes nothing.
func TestCarryOut(t *testing.T) {
	ctx, l := t.Context(), openLedger(t)
	s, err := inspect(ctx, l, Source{Path: write(t, "a.csv", "E-Mail;Second;Note\na@example.net;b@example.net;x\nno;c@example.net;y\nd@example.net;no;z\n")})
	if err != nil || s.Preview.Delimiter != ";" || len(s.Columns[0].Examples) != 3 {
		t.Fatalf("%+v %v", s, err)
	}
	s.set(1, asAddress, "")
	s.set(2, asNothing, "")
	for _, dry := range []bool{true, false} {
		out, err := carryOut(ctx, l, english, s, "New", storage.MergeReplace, dry, func(int64, int64, int64) {})
		if err != nil || out.Added != 2 || out.Report.Skipped != 1 || out.Rows != 1 || len(out.Problems) != 1 || out.Problems[0].Row != 4 {
			t.Fatalf("dry %v: %+v %v", dry, out, err)
		}
		b, err := os.ReadFile(out.Skipped)
		if err != nil || !strings.Contains(string(b), "d@example.net") {
			t.Errorf("%s %v", b, err)
		}
		out.drop()
		if n, err := l.CountContacts(ctx, storage.ContactFilter{}); err != nil || n != map[bool]int64{true: 0, false: 2}[dry] {
			t.Errorf("dry %v: %d people, %v", dry, n, err)
		}
	}
	people, _, err := l.Contacts(ctx, storage.ContactFilter{Search: "b@example"}, storage.Page{Limit: 1})
	if err != nil || len(people) != 1 || people[0].Fields["note"] != "" || people[0].Fields["e_mail_2"] != "a@example.net" {
		t.Errorf("%+v %v", people, err)
	}
	if left, err := os.ReadDir(tempFolder(l)); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := carryOut(stopped, l, english, s, "New", storage.MergeReplace, false, func(int64, int64, int64) {}); !isCancelled(err) {
		t.Errorf("a cancelled import: %v", err)
	}
	if _, err := inspect(ctx, l, Source{Path: "/nonexistent.csv"}); post.KindOf(err) != post.KindNotFound {
		t.Errorf("no file: %v", err)
	}
	if _, err := keepPaste(l, " \n"); post.KindOf(err) != post.KindInvalid {
		t.Errorf("an empty clipboard: %v", err)
	}
}

// Whoever is chosen is acted on once, in steps; everybody but some too.
func TestChosen(t *testing.T) {
	ctx, l := t.Context(), openLedger(t)
	li := fill(t, l, "A", 2*storage.BookStep+500)
	all, err := l.ContactIDs(ctx, storage.ContactFilter{List: li.ID})
	if err != nil {
		t.Fatal(err)
	}
	whole := Chosen{All: true, Filter: storage.ContactFilter{List: li.ID}}
	but := Chosen{All: true, IDs: all[:3], Filter: whole.Filter}
	if ids, err := but.resolve(ctx, l); err != nil || len(ids) != len(all)-3 || slices.Contains(ids, all[1]) {
		t.Errorf("%d of %d, %v", len(ids), len(all), err)
	}
	steps := 0
	b, err := addTo(ctx, l, but, Target{Name: "B"}, func(_, total int64) {
		if steps++; total != int64(len(all)-3) {
			t.Errorf("%d in all", total)
		}
	})
	if err != nil || steps != 3 {
		t.Fatalf("%d steps, %v", steps, err)
	}
	if err := takeOff(ctx, l, Chosen{IDs: all[3:5]}, b, silent); err != nil {
		t.Error(err)
	}
	// Stopped after the first step: that is done, the rest is not.
	stopped, cancel := context.WithCancel(ctx)
	err = suppress(stopped, l, whole, everybody, "asked", func(int64, int64) { cancel() })
	if n, cerr := l.CountSuppressions(ctx, 0, ""); !isCancelled(err) || n != storage.BookStep || cerr != nil {
		t.Errorf("%d are not mailed, %v %v", n, err, cerr)
	}
	if err := suppress(ctx, l, whole, everybody, "bounced", silent); err != nil {
		t.Error(err)
	}
	if n, err := l.CountSuppressions(ctx, 0, ""); err != nil || n != int64(len(all)) {
		t.Errorf("%d are not mailed, %v", n, err)
	}
	if err := unsuppress(ctx, l, Chosen{IDs: all[:10]}, everybody, silent); err != nil {
		t.Error(err)
	}
	if n, err := l.CountSuppressions(ctx, 0, ""); err != nil || n != int64(len(all)-10) {
		t.Errorf("%d are not mailed, %v", n, err)
	}
	if text, err := copyText(ctx, l, Chosen{IDs: all[:2]}); err != nil || strings.Count(text, "\n") != 2 || !strings.Contains(text, "p0@example.net\tP 0\n") {
		t.Errorf("%q %v", text, err)
	}
	out := filepath.Join(t.TempDir(), "out.csv")
	if err := export(ctx, l, but, but.Filter.List, out, silent); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(out); err != nil || strings.Count(string(b), "\n") != len(all)-3+1 {
		t.Errorf("%d lines, %v", strings.Count(string(b), "\n"), err)
	}
	if err := mergeLists(ctx, l, b, li.ID, true, silent); err != nil {
		t.Error(err)
	}
	if err := deletePeople(ctx, l, Chosen{IDs: all[:700]}, silent); err != nil {
		t.Error(err)
	}
	m, err := LoadLists(ctx, l, english, time.Now())
	if err != nil || m.All != int64(len(all)-700) || len(m.Items) != 1 || m.Items[0].N != m.All {
		t.Errorf("%+v %v", m, err)
	}
	r, err := erase(ctx, l, Chosen{IDs: all[698:702]}, silent)
	if err != nil || r.People != 2 || r.Suppressed != 2 || len(r.lines(english)) < 3 {
		t.Errorf("%+v %v", r, err)
	}
}

// Lists by a rule say the rule in words, also when what it names is gone.
func TestRuleWords(t *testing.T) {
	ctx, l := t.Context(), openLedger(t)
	a, b := fill(t, l, "A", 3), fill(t, l, "B", 2)
	for _, x := range []struct {
		r    storage.Rule
		want string
	}{
		{storage.Rule{Any: []int64{a.ID, b.ID}}, "on A or B"},
		{storage.Rule{All: []int64{a.ID, b.ID}, Not: []int64{99}}, "on A and on B, not on (removed)"},
		{storage.Rule{QuietDays: 14}, "Everybody, without mail from you in the last 14 days"},
		{storage.Rule{Any: []int64{a.ID}, QuietDays: 1, Got: 7}, "on A, without mail from you in the last 1 day, who got \"(removed)\""},
	} {
		got, err := ruleWords(ctx, l, english, map[int64]string{a.ID: "A", b.ID: "B"}, x.r)
		if err != nil || got != x.want {
			t.Errorf("%+v: %q, want %q; %v", x.r, got, x.want, err)
		}
		var again storage.Rule
		for id, p := range partsOf(&x.r) {
			setPart(&again, id, p)
		}
		slices.Sort(again.Any)
		slices.Sort(again.All)
		if !slices.Equal(again.Any, x.r.Any) || !slices.Equal(again.All, x.r.All) || !slices.Equal(again.Not, x.r.Not) {
			t.Errorf("%+v was taken apart and became %+v", x.r, again)
		}
	}
}

// A form is a person; nothing has changed until something has.
func TestPersonForm(t *testing.T) {
	ctx, l := t.Context(), openLedger(t)
	list := fill(t, l, "A", 1)
	f := Form{Address: " Zoe@Example.net ", Name: "Zoë", Fields: [][2]string{{"Shoe size", "041"}, {"", "x"}, {"empty", ""}}}
	id, err := savePerson(ctx, l, f, list.ID)
	if err != nil {
		t.Fatal(err)
	}
	p, err := LoadPerson(ctx, l, english, time.Now(), id)
	if err != nil || p.Address != "Zoe@example.net" && p.Address != "Zoe@Example.net" || !slices.Equal(p.Names, []string{"shoe_size"}) || !slices.Equal(p.Lists, []string{"A"}) {
		t.Fatalf("%+v %v", p, err)
	}
	f = Form{ID: id, Address: p.Address, Name: p.Name, Fields: [][2]string{{"shoe_size", "041"}}}
	if f.changed(p.Contact) {
		t.Error("nothing was changed")
	}
	for _, change := range []func(*Form){
		func(f *Form) { f.Address = "zoe@example.org" }, func(f *Form) { f.Name = "" },
		func(f *Form) { f.Fields = nil }, func(f *Form) { f.Fields = append(f.Fields, [2]string{"x", "y"}) },
	} {
		g := f
		if change(&g); !g.changed(p.Contact) {
			t.Errorf("%+v is not seen as changed", g)
		}
	}
}

// Suppressions go out into a file and come back the same, those of one list as of
// that one; typed addresses are taken all or none.
func TestStoppedFiles(t *testing.T) {
	ctx, l, other := t.Context(), openLedger(t), openLedger(t)
	var lists [2]int64
	for i, l := range []*storage.Ledger{l, other} {
		if _, err := l.CreateList(ctx, "First"); err != nil {
			t.Fatal(err)
		}
		li, err := l.CreateList(ctx, "News")
		if err != nil {
			t.Fatal(err)
		}
		lists[i] = li.ID
	}
	typed := []string{"a@example.net, B <b@example.net>\n\nc@example.net;d@example.net", "B <b@example.net>\n\nc@example.net;d@example.net"}
	for i, at := range []int64{everybody, lists[0]} {
		where := []int64{at, at}
		if at != everybody {
			where[1] = lists[1]
		}
		if n, err := stopAddresses(ctx, l, where[0], typed[i], "asked"); err != nil || n != int64(4-i) {
			t.Fatal(n, err)
		}
		if _, err := stopAddresses(ctx, l, where[0], "e@example.net\nnobody", "asked"); post.KindOf(err) != post.KindInvalid {
			t.Errorf("no address: %v", err)
		}
		path := filepath.Join(t.TempDir(), "stopped.xlsx")
		if err := exportStopped(ctx, l, where[0], path, silent); err != nil {
			t.Fatal(err)
		}
		added, known, problems, err := stopFile(ctx, other, where[1], path, t.TempDir())
		if err != nil || added != int64(4-i) || known != 0 || len(problems) != 0 {
			t.Fatal(added, known, problems, err)
		}
		if added, known, _, err = stopFile(ctx, other, where[1], path, t.TempDir()); err != nil || added != 0 || known != int64(4-i) {
			t.Error(added, known, err)
		}
		want, err := LoadStopped(ctx, l, english, time.Now(), where[0], "", storage.Page{Limit: 10})
		got, gerr := LoadStopped(ctx, other, english, time.Now(), where[1], "", storage.Page{Limit: 10})
		if err = errors.Join(err, gerr); err != nil || len(got.Rows) != 4-i || !slices.Equal(got.Rows, want.Rows) || got.Rows[0].Source != "you" || got.Rows[0].Reason != "asked not to be mailed" {
			t.Errorf("%+v, want %+v; %v", got, want, err)
		}
	}
	for source, want := range map[string]string{
		"receipt 12": "what came back", "delivery 3: 550 5.1.1 user unknown": "a server's answer (550 5.1.1 user unknown)", "old.csv": "old.csv",
	} {
		if got := sourceWords(english, source); got != want {
			t.Errorf("%s: %s", source, got)
		}
	}
}

// nameServer answers for the domains that it knows, several at a time.
type nameServer struct {
	mu    sync.Mutex
	asked map[string]int
}

func (n *nameServer) LookupMX(_ context.Context, name string) ([]*net.MX, error) {
	n.mu.Lock()
	n.asked[name]++
	n.mu.Unlock()
	if name == "good.test." {
		return []*net.MX{{Host: "mx.good.test."}}, nil
	}
	return nil, &net.DNSError{IsNotFound: true}
}

func (n *nameServer) LookupHost(context.Context, string) ([]string, error) {
	return nil, &net.DNSError{IsNotFound: true}
}

// Domains are asked where that is wished, and once for preview and import.
func TestDomainsAreAsked(t *testing.T) {
	ctx, l := t.Context(), openLedger(t)
	path := filepath.Join(t.TempDir(), "people.csv")
	if err := os.WriteFile(path, []byte("email\na@good.test\nb@gone.test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := inspect(ctx, l, Source{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	quiet := func(int64, int64, int64) {}
	dns, done := &nameServer{asked: map[string]int{}}, int64(0)
	for _, asks := range []bool{false, true} {
		if asks {
			s.domains, s.onDomains = &people.DomainCheck{DNS: dns}, func(n, total int64) {
				if done = max(done, n); total != 2 {
					t.Errorf("%d domains", total)
				}
			}
		}
		for _, dry := range []bool{true, false} {
			out, err := carryOut(ctx, l, english, s, "L", storage.MergeReplace, dry, quiet)
			if err != nil || out.Read != 2 || out.Report.Skipped != 0 {
				t.Fatal(out, err)
			}
			if got := len(out.Problems) == 1 && out.Problems[0].Row == 3; got != asks || !asks && len(out.Problems) > 0 {
				t.Errorf("asked %v, dry %v: %+v", asks, dry, out.Problems)
			}
			out.drop()
		}
	}
	if done != 2 || dns.asked["good.test."] != 1 || dns.asked["gone.test."] != 1 {
		t.Errorf("%v, told of %d", dns.asked, done)
	}
}
