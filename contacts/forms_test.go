package contacts

import (
	"archive/zip"
	"bytes"
	"context"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"

	"postroom/post"
	"postroom/storage"
)

// book makes a workbook in memory.
func book(t testing.TB, fill func(f *excelize.File)) string {
	t.Helper()
	f := excelize.NewFile()
	fill(f)
	var b bytes.Buffer
	if err := f.Write(&b); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func setRow(t testing.TB, f *excelize.File, sheet, cell string, values ...any) {
	t.Helper()
	if err := f.SetSheetRow(sheet, cell, &values); err != nil {
		t.Fatal(err)
	}
}

func setStyle(t testing.TB, f *excelize.File, cell string, s excelize.Style) {
	t.Helper()
	id, err := f.NewStyle(&s)
	if err == nil {
		err = f.SetCellStyle("Sheet1", cell, cell, id)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func card(lines ...string) string {
	return "BEGIN:VCARD\r\nVERSION:3.0\r\n" + strings.Join(lines, "\r\n") + "\r\nEND:VCARD\r\n"
}

// zipped makes a zip file of one entry, claiming its size honestly.
func zipped(t testing.TB, name string, content []byte) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create(name)
	if err == nil {
		_, err = w.Write(content)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// spoiled is a good workbook of three people, of which one file in it was changed,
// with the archive around it as good as before.
func spoiled(t testing.TB, name string, change func(string) string) string {
	t.Helper()
	good := book(t, func(f *excelize.File) {
		for i, who := range []string{"email", "a@x.de", "b@x.de", "c@x.de"} {
			setRow(t, f, "Sheet1", "A"+strconv.Itoa(i+1), who, "Name & "+who)
		}
	})
	z, err := zip.NewReader(strings.NewReader(good), int64(len(good)))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	changed := false
	for _, e := range z.File {
		r, err := e.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if e.Name == name {
			was := string(content)
			content = []byte(change(was))
			changed = was != string(content)
		}
		out, err := w.Create(e.Name)
		if err == nil {
			_, err = out.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if !changed {
		t.Fatalf("%s was not changed", name)
	}
	return b.String()
}

// flipped is a workbook whose sheet has another checksum than its archive says.
func flipped(t testing.TB) string {
	all := []byte(spoiled(t, "xl/worksheets/sheet1.xml", func(s string) string { return s + " " }))
	head, directory, ok := bytes.Cut(all, []byte("PK\x01\x02"))
	at := bytes.Index(directory, []byte("xl/worksheets/sheet1.xml"))
	if !ok || at < 46-4 {
		t.Fatal("the archive has no directory with the sheet")
	}
	all[len(head)+4+at-46+16] ^= 1 // the checksum in its entry, which is 46 bytes long before the name
	return string(all)
}

// awkwardForms are files of the other forms and encodings.
func awkwardForms(t testing.TB) []awkward {
	return slices.Concat(encodedFiles(t), cardFiles(t), plainFiles(), bookFiles(t))
}

func encodedFiles(t testing.TB) []awkward {
	const one = "1/1/0/0/0"
	guessed := []string{"0  contacts.charset_guessed"}
	chinese := "姓名,邮箱,城市\n王小明,wang@x.cn,北京\n李丽,li@x.cn,上海\n"
	chinesePeople := []string{"li@x.cn|李丽|城市=上海", "wang@x.cn|王小明|城市=北京"}
	taiwan := "姓名,電子郵件,城市\n王小明,wang@x.tw,臺北市\n陳美麗,chen@x.tw,高雄市\n張國華,chang@x.tw,臺中市\n"
	japan := "氏名,メールアドレス,市\n山田太郎,yamada@x.jp,東京\n鈴木はなこ,suzuki@x.jp,さいたま\n佐藤ヨシオ,sato@x.jp,名古屋\n"
	bare := func(o unicode.Endianness) encoding.Encoding { return unicode.UTF16(o, unicode.IgnoreBOM) }
	return []awkward{
		{name: "UTF-16 LE without a mark", file: encode(t, bare(unicode.LittleEndian), chinese), counts: "2/2/0/0/0", people: chinesePeople, problems: guessed},
		{name: "UTF-16 BE without a mark", file: encode(t, bare(unicode.BigEndian), chinese), counts: "2/2/0/0/0", people: chinesePeople, problems: guessed},
		{name: "GB18030", file: encode(t, simplifiedchinese.GB18030, chinese), counts: "2/2/0/0/0", people: chinesePeople, problems: guessed},
		{
			name: "Big5", file: encode(t, traditionalchinese.Big5, taiwan), counts: "3/3/0/0/0", problems: guessed,
			people: []string{"chang@x.tw|張國華|城市=臺中市", "chen@x.tw|陳美麗|城市=高雄市", "wang@x.tw|王小明|城市=臺北市"},
		},
		{
			name: "Shift-JIS", file: encode(t, japanese.ShiftJIS, japan), counts: "3/3/0/0/0", problems: guessed,
			people: []string{"sato@x.jp|佐藤ヨシオ|市=名古屋", "suzuki@x.jp|鈴木はなこ|市=さいたま", "yamada@x.jp|山田太郎|市=東京"},
		},
		{
			name: "Windows-1251", file: encode(t, charmap.Windows1251, "имя,почта,город\nАнна Каренина,anna@x.ru,Москва\nИван Петров,ivan@x.ru,Санкт-Петербург\n"), counts: "2/2/0/0/0", problems: guessed,
			people: []string{"anna@x.ru|Анна Каренина|город=Москва", "ivan@x.ru|Иван Петров|город=Санкт-Петербург"},
		},
		{
			name: "Windows-1253", file: encode(t, charmap.Windows1253, "email,όνομα\nanna@x.gr,Άννα Παπαδοπούλου από την Αθήνα\nnikos@x.gr,Νίκος Γεωργίου από τη Θεσσαλονίκη\n"), counts: "2/2/0/0/0", problems: guessed,
			people: []string{"anna@x.gr||όνομα=Άννα Παπαδοπούλου από την Αθήνα", "nikos@x.gr||όνομα=Νίκος Γεωργίου από τη Θεσσαλονίκη"},
		},
		{name: "one letter in Windows-1252", file: "email,name\na@x.de,Ren\xE9\n", counts: one, people: []string{"a@x.de|René|"}, problems: guessed},
	}
}

func cardFiles(testing.TB) []awkward {
	const one = "1/1/0/0/0"
	return []awkward{
		{name: "vCard 3.0", file: card("FN:Anna Köhler", "N:Köhler;Anna;;;", "EMAIL;TYPE=work:a@x.de"), counts: one, people: []string{"a@x.de|Anna Köhler|first_name=Anna last_name=Köhler"}},
		{
			name: "vCard 2.1 with quoted-printable", counts: one, people: []string{"wang@x.cn|王小明|note=first\nsecond line that was folded"},
			file: "BEGIN:VCARD\r\nVERSION:2.1\r\nFN;CHARSET=GB2312;ENCODING=QUOTED-PRINTABLE:=CD=F5=D0=A1=C3=F7\r\nNOTE;ENCODING=QUOTED-PRINTABLE:first=0D=0Asecond line=\r\n that was folded\r\nEMAIL;INTERNET;PREF:wang@x.cn\r\nEND:VCARD\r\n",
		},
		{name: "vCard 4.0", file: "BEGIN:VCARD\nVERSION:4.0\nFN:Zoé\nEMAIL;PREF=2:b@x.fr\nEMAIL;PREF=1:a@x.fr\nTEL;VALUE=uri;TYPE=cell:tel:+33-1\nEND:VCARD\n", counts: one, people: []string{"a@x.fr|Zoé|email_2=b@x.fr mobile=+33-1"}},
		{name: "folded lines and groups", file: card("FN:Anna", "item1.EMAIL;type=INTERNET:anna@exam", " ple.com", "item1.X-ABLabel:work"), counts: one, people: []string{"anna@example.com|Anna|"}},
		{name: "escapes", file: card(`FN:Köhler\, Anna`, `ADR;TYPE=home:;;Street 1\; back;Bonn;;01234;Germany`, "EMAIL:a@x.de"), counts: one, people: []string{"a@x.de|Köhler, Anna|city=Bonn country=Germany street=Street 1; back zip=01234"}},
		{name: "a card without an address", file: card("FN:Anna") + card("FN:Bob", "EMAIL:b@x.de"), counts: "2/1/0/0/1", people: []string{"b@x.de|Bob|"}, problems: []string{"-1 email contacts.no_address"}},
		{name: "a card without an end", file: "BEGIN:VCARD\nFN:Anna\nEMAIL:a@x.de\nBEGIN:VCARD\nFN:Bob\nEMAIL:b@x.de\nEND:VCARD\n", counts: "2/2/0/0/0", people: []string{"a@x.de|Anna|", "b@x.de|Bob|"}},
		{name: "a card with a picture over 1 MB", file: card("FN:Anna", "EMAIL:a@x.de", "PHOTO;ENCODING=b:"+strings.Repeat("A", maxRecord+100)), counts: one, people: []string{"a@x.de|Anna|"}},
		{name: "only given and family name", file: card("N:王;小明;;;", "EMAIL:w@x.cn"), counts: one, people: []string{"w@x.cn|王小明|first_name=小明 last_name=王"}},
		{name: "a colon within a parameter", file: card("FN:Anna", `EMAIL;X-LABEL="a:b";TYPE=home:a@x.de`), counts: one, people: []string{"a@x.de|Anna|"}},
		{name: "a bad address in a card", file: card("FN:Anna", "EMAIL:a@@x.de"), counts: "1/0/0/0/1", problems: []string{"-1 email contacts.address_local"}},
	}
}

func plainFiles() []awkward {
	return []awkward{
		{name: "pasted, semicolons", file: "Anna Köhler <a@x.de>; b@x.de", counts: "2/2/0/0/0", people: []string{"a@x.de|Anna Köhler|", "b@x.de||"}},
		{name: "pasted, commas", file: "Anna <a@x.de>, Bob <b@x.de>,\n c@x.de\n", counts: "3/3/0/0/0", people: []string{"a@x.de|Anna|", "b@x.de|Bob|", "c@x.de||"}},
		{name: "pasted, commas in names", file: "\"Köhler, Anna\" <a@x.de>; Vos, Jan <v@x.nl>;\n", counts: "2/2/0/0/0", people: []string{"a@x.de|Köhler, Anna|", "v@x.nl|Vos, Jan|"}},
		{name: "pasted, one is bad", file: strings.Repeat("a@x.de; ", 20) + "b@@x.de; c@x.de\r\nd@x.de", counts: "23/3/0/19/1", people: []string{"a@x.de||", "c@x.de||", "d@x.de||"}, problems: []string{"-1 1 contacts.address_local"}},
		{name: "one mailbox a line", file: "Anna <a@x.de>\nBob <b@x.de>\n", counts: "2/2/0/0/0", people: []string{"a@x.de|Anna|", "b@x.de|Bob|"}},
		{name: "mailboxes in quotes", file: "\"Anna K\" <a@x.de>\n\"Bob\"<b@x.de>\n", counts: "2/2/0/0/0", people: []string{"a@x.de|Anna K|", "b@x.de|Bob|"}},
		{name: "a department", file: "email\nanna@x.de\ninfo@x.de\n", counts: "2/2/0/0/0", people: []string{"anna@x.de||", "info@x.de||"}, problems: []string{"3 email contacts.hint_role"}},
		{
			name: "departments, and nobody", file: "email\ninfo@x.de\nSales@x.de\nanna@x.de\nnoreply@x.de\n", counts: "4/4/0/0/0", people: []string{"Sales@x.de||", "anna@x.de||", "info@x.de||", "noreply@x.de||"},
			problems: []string{"2 email contacts.hint_roles", "5 email contacts.hint_deaf"},
		},
		{name: "a slip in a domain", file: "email\na@gmial.com\nb@gmail.com\n", counts: "2/2/0/0/0", people: []string{"a@gmial.com||", "b@gmail.com||"}, problems: []string{"2 email contacts.hint_typo"}},
		{name: "pasted twice", file: "a@x.de, A@X.DE", counts: "2/1/0/1/0", people: []string{"a@x.de||"}},
	}
}

func bookFiles(t testing.TB) []awkward {
	const one = "1/1/0/0/0"
	day := time.Date(2026, 11, 26, 15, 4, 5, 0, time.UTC)
	hidden := book(t, func(f *excelize.File) {
		setRow(t, f, "Sheet1", "A1", "email")
		setRow(t, f, "Sheet1", "A2", "no@x.de")
		if _, err := f.NewSheet("People"); err != nil {
			t.Fatal(err)
		}
		setRow(t, f, "People", "A1", "E-Mail", "Name")
		setRow(t, f, "People", "A2", "a@x.de", "Anna")
		f.SetActiveSheet(1)
		if err := f.SetSheetVisible("Sheet1", false); err != nil {
			t.Fatal(err)
		}
	})
	locked := func() string {
		var b bytes.Buffer
		f := excelize.NewFile()
		setRow(t, f, "Sheet1", "A1", "email")
		if err := f.Write(&b, excelize.Options{Password: "x"}); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	return []awkward{
		{
			name: "workbook", counts: "2/1/0/0/1", people: []string{"a@x.de|Anna|n=12345678901 zip=01234"}, problems: []string{"-4 E-Mail contacts.address_no_at"},
			file: book(t, func(f *excelize.File) {
				setRow(t, f, "Sheet1", "A1", "E-Mail", "Name", "zip", "n")
				setRow(t, f, "Sheet1", "A2", "a@x.de", "Anna", "01234", 12345678901)
				setRow(t, f, "Sheet1", "A4", "bad")
			}),
		},
		{
			name: "dates and numbers as shown", counts: one, people: []string{"a@x.de||day=2026-11-26 then=2026-11-26 15:04:05 us=2026-11-26 when=15:04:05 zip=01234"},
			file: book(t, func(f *excelize.File) {
				setRow(t, f, "Sheet1", "A1", "email", "day", "us", "then", "when", "zip")
				setRow(t, f, "Sheet1", "A2", "a@x.de", day, day, day, day, 1234)
				german, zip := "dd.mm.yyyy", "00000"
				setStyle(t, f, "B2", excelize.Style{CustomNumFmt: &german})
				setStyle(t, f, "C2", excelize.Style{NumFmt: 14})
				setStyle(t, f, "D2", excelize.Style{NumFmt: 22})
				setStyle(t, f, "E2", excelize.Style{NumFmt: 21})
				setStyle(t, f, "F2", excelize.Style{CustomNumFmt: &zip})
			}),
		},
		{name: "text that looks like a formula", counts: one, people: []string{"a@x.de|'=1|note=+49 30"}, file: book(t, func(f *excelize.File) {
			setRow(t, f, "Sheet1", "A1", "email", "name", "note")
			setRow(t, f, "Sheet1", "A2", "a@x.de", "'=1", "+49 30")
		})},
		{name: "the first visible sheet", file: hidden, counts: one, people: []string{"a@x.de|Anna|"}},
		{name: "a workbook without a header", counts: one, people: []string{"a@x.de||column_2=Anna"}, file: book(t, func(f *excelize.File) { setRow(t, f, "Sheet1", "A1", "a@x.de", "Anna") })},
		{name: "an empty workbook", file: book(t, func(*excelize.File) {}), refused: "contacts.empty_file"},
		{name: "a sheet that is cut off", file: spoiled(t, "xl/worksheets/sheet1.xml", func(s string) string { before, _, _ := strings.Cut(s, `<row r="3"`); return before }), refused: "contacts.book_damaged"},
		{name: "a sheet with a fault in its midst", file: spoiled(t, "xl/worksheets/sheet1.xml", func(s string) string { return strings.Replace(s, `<row r="3"`, `<row <`, 1) }), refused: "contacts.book_damaged"},
		{name: "a table of words that is cut off", file: spoiled(t, "xl/sharedStrings.xml", func(s string) string { return s[:len(s)*2/3] }), refused: "contacts.book_damaged"},
		{name: "a sheet with another checksum", file: flipped(t), refused: "contacts.book_damaged"},
		{name: "a workbook with a password", file: locked(), refused: "contacts.book_locked"},
		{name: "a damaged workbook", file: zipped(t, "xl/workbook.xml", []byte("<workbook")), refused: "contacts.book_damaged"},
		{name: "a document of another program", file: zipped(t, "word/document.xml", []byte("<x/>")), refused: "contacts.is_workbook"},
		{name: "a zip bomb", file: zipped(t, "xl/workbook.xml", make([]byte, 40<<20)), refused: "contacts.book_bomb"},
		{name: "a wide workbook", refused: "contacts.too_many_columns", file: book(t, func(f *excelize.File) {
			setRow(t, f, "Sheet1", "A1", "email")
			setRow(t, f, "Sheet1", "A2", append([]any{"a@x.de"}, make([]any, 300)...)...)
			setRow(t, f, "Sheet1", "JZ2", "x")
		})},
	}
}

// TestChosen: what the user says about a file wins over what it looks like.
func TestChosen(t *testing.T) {
	greek := writeFile(t, encode(t, charmap.Windows1253, "email,name\na@x.gr,Νίκος\n"))
	b := newBook()
	rep, err := Import(t.Context(), b, greek, Options{Encoding: "cp1253"})
	if err != nil || len(rep.Problems) != 0 {
		t.Fatal(rep, err)
	}
	if d := cmp.Diff([]string{"a@x.gr|Νίκος|"}, describe(b)); d != "" {
		t.Error(d)
	}
	if _, err := Import(t.Context(), newBook(), greek, Options{Encoding: "klingon"}); err == nil {
		t.Error("an unknown encoding was taken")
	} else {
		wantRefusal(t, err, "contacts.no_such_encoding")
	}
	path := writeFile(t, book(t, func(f *excelize.File) {
		setRow(t, f, "Sheet1", "A1", "a@x.de")
		if _, err := f.NewSheet("Other"); err != nil {
			t.Fatal(err)
		}
		setRow(t, f, "Other", "A1", "b@x.de")
	}))
	for wish, want := range map[string]string{"": "a@x.de||", "other": "b@x.de||", "2": "b@x.de||"} {
		b := newBook()
		if _, err := Import(t.Context(), b, path, Options{Sheet: wish}); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]string{want}, describe(b)); d != "" {
			t.Errorf("sheet %q: %s", wish, d)
		}
	}
	_, err = Import(t.Context(), newBook(), path, Options{Sheet: "none"})
	wantRefusal(t, err, "contacts.no_such_sheet")
}

// TestUnpackedBooksGo: a workbook that is too large for memory is unpacked into
// the folder that was named, and nothing stays there.
func TestUnpackedBooksGo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "people.xlsx")
	writeBook(t, path, 8_000, strings.Repeat("likes tulips ", 200))
	temp := filepath.Join(t.TempDir(), "temp")
	was := false
	rep, err := Import(t.Context(), &countingBook{}, path, Options{Temp: temp, Progress: func(int64, int64, int64) {
		all, err := os.ReadDir(temp)
		was = was || err == nil && len(all) > 0
	}})
	if err != nil || rep.Added != 8_000 {
		t.Fatal(rep, err)
	}
	all, err := os.ReadDir(temp)
	if err != nil || len(all) != 0 {
		t.Errorf("left behind: %v, %v", all, err)
	}
	if !was {
		t.Error("the workbook was not unpacked there, so this test shows nothing")
	}
}

func writeBook(t testing.TB, path string, rows int, note string) {
	t.Helper()
	f := excelize.NewFile()
	w, err := f.NewStreamWriter("Sheet1")
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		n := strings.Repeat("0", 1+i%3)
		row := []any{"user" + n + string(rune('a'+i%26)) + time.UnixMilli(int64(i)).UTC().Format("150405.000") + "@example.com", "Anna Köhler", "Berlin", i, note}
		if i == 0 {
			row = []any{"email", "name", "city", "zip", "note"}
		}
		if err := w.SetRow("A"+strconv.Itoa(i+1), row); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.SetRow("A"+strconv.Itoa(rows+1), []any{"last@example.com"}); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.SaveAs(path); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// lateBook is a ledger in which people are by the time that somebody cancels.
type lateBook struct {
	*storage.Ledger
	cancel func()
}

func (b lateBook) ImportContacts(ctx context.Context, list string, dry bool, rows iter.Seq2[post.Contact, error]) (added, updated, unchanged int64, suppressed []string, err error) {
	defer b.cancel()
	return b.Ledger.ImportContacts(ctx, list, dry, rows)
}

// TestCancelledTooLate: who cancels when the people are in the book is told that
// they are, and the columns are remembered.
func TestCancelledTooLate(t *testing.T) {
	l, err := storage.Open(t.Context(), t.TempDir(), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	path := writeFile(t, "a,b\nx@x.de,Xaver\n")
	rep, err := Import(ctx, lateBook{l, cancel}, path, Options{List: "L", Memory: l, Map: map[string]string{"email": "a", "name": "b"}})
	if err != nil || rep.Added != 1 || ctx.Err() == nil {
		t.Fatal(rep, err, ctx.Err())
	}
	if rep, err = Import(t.Context(), l, path, Options{List: "L", Memory: l}); err != nil || rep.Unchanged != 1 {
		t.Error(rep, err)
	}
}

// memory is a Memory.
type memory map[string]string

func (m memory) Setting(_ context.Context, key, fallback string) (string, error) {
	if v, ok := m[key]; ok {
		return v, nil
	}
	return fallback, nil
}

func (m memory) SetSetting(_ context.Context, key, value string) error {
	m[key] = value
	return nil
}

func TestColumnsAreRemembered(t *testing.T) {
	m := memory{}
	first := writeFile(t, "a,b,email\na@x.de,Anna,old@x.de\n")
	if _, err := Import(t.Context(), newBook(), first, Options{Memory: m, Map: map[string]string{"email": "a", "name": "b"}, DryRun: true}); err != nil {
		t.Fatal(err)
	}
	if len(m) != 0 {
		t.Error("a dry run was remembered")
	}
	if _, err := Import(t.Context(), newBook(), first, Options{Memory: m, Map: map[string]string{"email": "a", "name": "b"}}); err != nil {
		t.Fatal(err)
	}
	b := newBook()
	rep, err := Import(t.Context(), b, writeFile(t, "A,B,Email\nb@x.de,Bob,old@x.de\n"), Options{Memory: m})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"b@x.de|Bob|email_2=old@x.de"}, describe(b)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"0  contacts.map_remembered"}, describeProblems(rep.Problems)); d != "" {
		t.Error(d)
	}
	other := newBook()
	if _, err := Import(t.Context(), other, writeFile(t, "a,b,x\nb@x.de,Bob,1\n"), Options{Memory: m}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"b@x.de||b=Bob x=1"}, describe(other)); d != "" {
		t.Error("another header:", d)
	}
}

// FuzzCards writes a card and reads it back.
func FuzzCards(f *testing.F) {
	f.Add("Anna Köhler", "note; with, marks\nand lines", "BEGIN:VCARD\nFN:x")
	f.Add(`\`, `\n`, "=\r\nEMAIL;ENCODING=QUOTED-PRINTABLE:=")
	f.Fuzz(func(t *testing.T, name, note, noise string) {
		sc := newCardScanner(strings.NewReader(noise), cardColumns)
		for range 1000 { // whatever stands there, it ends
			if _, err := sc.next(); err != nil {
				break
			}
		}
		name, _ = cleanLineCell(strings.ToValidUTF8(name, ""))
		note, _ = cleanTextCell(strings.ToValidUTF8(note, ""))
		name, note = trimCell(name), trimCell(note)
		if name == "" || note == "" || len(name)+len(note) > maxCell {
			return
		}
		escape := strings.NewReplacer(`\`, `\\`, "\n", `\n`, ",", `\,`, ";", `\;`)
		line := "NOTE:" + escape.Replace(note)
		var folded strings.Builder
		for i, r := range line { // RFC 6350 3.2
			if i > 0 && i%7 == 0 {
				folded.WriteString("\r\n ")
			}
			folded.WriteRune(r)
		}
		rec, err := newCardScanner(strings.NewReader(card("FN:"+escape.Replace(name), folded.String(), "EMAIL:a@x.de")), []string{"email", "name", "note"}).next()
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]string{"a@x.de", name, note}, rec.cells); d != "" {
			t.Error(d)
		}
	})
}

// FuzzPlain writes mailboxes as a list and reads them back.
func FuzzPlain(f *testing.F) {
	f.Add("Anna; Köhler", "Bob \"x\"", "a@x.de; b@x.de")
	f.Fuzz(func(t *testing.T, one, two, noise string) {
		sc := newPlainScanner(strings.NewReader(noise), ";")
		for n := 0; ; n++ {
			if _, err := sc.next(); err != nil {
				break
			}
			if n > len(noise)+1 {
				t.Fatal("more people than characters")
			}
		}
		clean := func(s string) string {
			s, _ = cleanLineCell(strings.ToValidUTF8(s, ""))
			return trimCell(strings.NewReplacer(`"`, "", `\`, "", "@", "").Replace(s))
		}
		one, two = clean(one), clean(two)
		sc = newPlainScanner(strings.NewReader(`"`+one+`" <a@x.de>; "`+two+"\" <b@x.de>\r\n"), ";")
		for _, want := range []string{one, two} {
			rec, err := sc.next()
			if err != nil {
				t.Fatal(err)
			}
			name, a, why := parseAddressCell(trimCell(rec.cells[0]))
			if !why.IsZero() || trimCell(name) != want || post.AddressKey(a) == "" {
				t.Errorf("%q came back as %q (%v)", want, name, why)
			}
		}
	})
}

// A delimiter that somebody chose is the one, and columns can be left out.
func TestChosenForm(t *testing.T) {
	path := filepath.Join(t.TempDir(), "people.csv")
	if err := os.WriteFile(path, []byte("sep=;\nMail;Name;Note\na@example.net;Anna;one, two\nb@example.net;Bert;three, four\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		o       Options
		address int
		fields  string
	}{
		{Options{}, 0, "note"},
		{Options{Delimiter: ";", Leave: []int{2}}, 0, ""},
		{Options{Delimiter: ","}, 0, "column_2"},
	} {
		p, err := InspectAs(t.Context(), path, x.o)
		if x.o.Delimiter == "," { // the cells then hold no address alone
			if p.Delimiter == ";" {
				t.Errorf("the chosen delimiter was not taken: %+v %v", p, err)
			}
			continue
		}
		if err != nil || p.Mapping.Address != x.address || strings.Join(p.Mapping.FieldNames(), " ") != x.fields || p.Delimiter != ";" {
			t.Errorf("%+v: %+v %v", x.o, p, err)
		}
	}
}
