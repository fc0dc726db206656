package contacts

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"postroom/post"
)

// awkward is one file and what must become of it. people are written as
// "address|name|field=value ..." in the order of their keys; problems as
// "row column reason", with "-" in front where the row was skipped.
type awkward struct {
	name     string
	file     string
	refused  string // reason of the refusal; then nothing else counts
	counts   string // read/added/updated/unchanged/skipped
	people   []string
	problems []string
}

func encode(t testing.TB, e encoding.Encoding, s string) string {
	t.Helper()
	out, err := e.NewEncoder().String(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func awkwardFiles(t testing.TB) []awkward {
	u16le := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)
	u16be := unicode.UTF16(unicode.BigEndian, unicode.UseBOM)
	anna := []string{"anna@example.com|Anna Köhler|city=Berlin"}
	one := "1/1/0/0/0"
	wide := strings.Repeat("x,", 299)
	return []awkward{
		{name: "plain", file: "email,name,city\nanna@example.com,Anna Köhler,Berlin\n", counts: one, people: anna},
		{name: "no line end at the end", file: "email,name,city\nanna@example.com,Anna Köhler,Berlin", counts: one, people: anna},
		{name: "UTF-8 BOM", file: "\xEF\xBB\xBFemail,name,city\nanna@example.com,Anna Köhler,Berlin\n", counts: one, people: anna},
		{name: "UTF-16 LE", file: encode(t, u16le, "email,name,city\nanna@example.com,Anna Köhler,Berlin\n"), counts: one, people: anna},
		{name: "UTF-16 BE, tabs", file: encode(t, u16be, "email\tname\tcity\r\nanna@example.com\tAnna Köhler\tBerlin\r\n"), counts: one, people: anna},
		{name: "Windows-1252", file: encode(t, charmap.Windows1252, "email;name;city\nanna@example.com;Anna Köhler;Berlin\n"), counts: one, people: anna, problems: []string{"0  contacts.charset_guessed"}},
		{
			name: "damaged UTF-8", file: "email,name,city\nanna@example.com,Anna Köhler,Berlin\n" + strings.Repeat("anna@example.com,Anna Köhler,Berlin\n", 20) + "b@example.com,B\xffb,x\nc\xff@example.com,,\n",
			counts: "23/2/0/20/1", people: []string{anna[0], "b@example.com|B\uFFFDb|city=x"}, problems: []string{"23 name contacts.damaged", "-24 email contacts.address_damaged"},
		},
		{name: "semicolons with decimal commas", file: "email;name;sum\na@x.de;Anna;12,50\nb@x.de;Bob;7,00\n", counts: "2/2/0/0/0", people: []string{"a@x.de|Anna|sum=12,50", "b@x.de|Bob|sum=7,00"}},
		{name: "pipes", file: "email|name\na@x.de|Anna, the first\n", counts: one, people: []string{"a@x.de|Anna, the first|"}},
		{name: "Excel's separator line", file: "sep=;\nemail;name\nbad;x\na@x.de;Anna\n", counts: "2/1/0/0/1", people: []string{"a@x.de|Anna|"}, problems: []string{"-2 email contacts.address_no_at"}},
		{name: "CRLF", file: "email,name\r\na@x.de,Anna\r\nbad,\r\n", counts: "2/1/0/0/1", people: []string{"a@x.de|Anna|"}, problems: []string{"-3 email contacts.address_no_at"}},
		{name: "CR", file: "email,name\ra@x.de,Anna\rbad,\r", counts: "2/1/0/0/1", people: []string{"a@x.de|Anna|"}, problems: []string{"-3 email contacts.address_no_at"}},
		{name: "mixed line ends", file: "email\r\na@x.de\nb@x.de\rbad\n", counts: "3/2/0/0/1", people: []string{"a@x.de||", "b@x.de||"}, problems: []string{"-4 email contacts.address_no_at"}},
		{name: "quotes", file: "email,name\n\"a@x.de\",\"Köhler, \"\"Anna\"\"\"\n", counts: one, people: []string{`a@x.de|Köhler, "Anna"|`}},
		{name: "quotes with spaces behind", file: "email,name\n\"a@x.de\" ,\"Anna\"\n", counts: one, people: []string{"a@x.de|Anna|"}},
		{name: "text after a closing quote", file: "email,name\na@x.de,\"Anna\" Köhler\n", counts: one, people: []string{"a@x.de|Anna Köhler|"}, problems: []string{"2  contacts.quote_odd"}},
		{name: "quote within a cell", file: "email,size\na@x.de,5\" pipe\nb@x.de,6\" pipe\n", counts: "2/2/0/0/0", people: []string{`a@x.de||size=5" pipe`, `b@x.de||size=6" pipe`}},
		{
			name: "embedded line breaks", file: "email,address\n\"a@x.de\",\"Street 1\r\n12345 Town\"\nbad,x\n",
			counts: "2/1/0/0/1", people: []string{"a@x.de||address=Street 1\n12345 Town"}, problems: []string{"-3 email contacts.address_no_at"},
		},
		{name: "line break in a name", file: "email,name\na@x.de,\"Anna\nKöhler\"\n", counts: one, people: []string{"a@x.de|Anna Köhler|"}, problems: []string{"2 name contacts.cleaned"}},
		{
			name: "a quote that is never closed", file: "email,name\na@x.de,\"Anna\nb@x.de,Bob\nc@x.de,\"Carl\"\nd@x.de,D\n",
			counts: "4/3/0/0/1", people: []string{"b@x.de|Bob|", "c@x.de|Carl|", "d@x.de|D|"}, problems: []string{"-2  contacts.quote_open"},
		},
		{name: "a quote open at the end", file: "email,name\na@x.de,Anna\nb@x.de,\"Bob\n", counts: "2/1/0/0/1", people: []string{"a@x.de|Anna|"}, problems: []string{"-3  contacts.quote_open"}},
		{name: "short rows", file: "email,name,city\na@x.de\nb@x.de,Bob\n", counts: "2/2/0/0/0", people: []string{"a@x.de||", "b@x.de|Bob|"}},
		{
			name: "long rows", file: "email,name\na@x.de,Anna,,\n" + strings.Repeat("b@x.de,Bob\n", 250) + "c@x.de,Carl,lost,,too\n",
			counts: "252/3/0/249/0", people: []string{"a@x.de|Anna|", "b@x.de|Bob|", "c@x.de|Carl|"}, problems: []string{"253 3 contacts.extra_cells"},
		},
		{name: "a longer row within the sample", file: "email,name\na@x.de,Anna,kept\n", counts: one, people: []string{"a@x.de|Anna|column_3=kept"}},
		{name: "empty headers", file: "email,,city,\na@x.de,x,y,z\n", counts: one, people: []string{"a@x.de||city=y column_2=x column_4=z"}},
		{
			name: "NUL and other control characters", file: "email,name,note\na@x.de,An\x00na,a\x07b\x0bc\tnothing\nb\x00@x.de,Bob,\n",
			counts: "2/1/0/0/1", people: []string{"a@x.de|Anna|note=ab c nothing"}, problems: []string{"2 name contacts.cleaned", "2 note contacts.cleaned", "-3 email contacts.address_control"},
		},
		{name: "bidi in a name", file: "email,name\na@x.de,An\u202Ena\n", counts: one, people: []string{"a@x.de|Anna|"}, problems: []string{"2 name contacts.cleaned"}},
		{
			name: "two addresses", file: "email\n\"a@x.de, b@x.de\"\na@x.de;b@x.de\na@x.de b@x.de\nA <a@x.de>; B <b@x.de>\n\"A <a@x.de>, B <b@x.de>\"\n\"a@x.de\nb@x.de\"\na@x.de / b@x.de\n",
			counts: "7/0/0/0/7", problems: []string{"-2 email contacts.two_addresses", "-3 email contacts.two_addresses", "-4 email contacts.two_addresses", "-5 email contacts.two_addresses", "-6 email contacts.two_addresses", "-7 email contacts.two_addresses", "-8 email contacts.two_addresses"},
		},
		{name: "name and address in one cell", file: "email\nAnna Köhler <anna@x.de>\n\"\"\"Bob, Mr\"\" <bob@x.de>\"\n<c@x.de>\nd@x.de <d@x.de>\n", counts: "4/4/0/0/0", people: []string{"anna@x.de|Anna Köhler|", "bob@x.de|Bob, Mr|", "c@x.de||", "d@x.de||"}},
		{name: "the name column wins", file: "email,name\nAnna <a@x.de>,Anna Köhler\nBob <b@x.de>,\n", counts: "2/2/0/0/0", people: []string{"a@x.de|Anna Köhler|", "b@x.de|Bob|"}},
		{name: "mailto and trailing marks", file: "email\nmailto:a@x.de\nb@x.de;\nc@x.de,\n", counts: "3/3/0/0/0", people: []string{"a@x.de||", "b@x.de||", "c@x.de||"}},
		{name: "IDN", file: "email\nköhler@exämple.de\nKÖHLER@xn--exmple-cua.de\n王小明@例子.中国\n", counts: "3/2/0/1/0", people: []string{"köhler@exämple.de||", "王小明@例子.中国||"}},
		{
			name: "invalid addresses", file: "email\nanna\nanna@\n@x.de\na..b@x.de\na@b@c.de\na@x_y.de\na@-x.de\n\"\"\n" + strings.Repeat("a", 70) + "@x.de\nok@x.de\n",
			counts: "9/1/0/0/8", people: []string{"ok@x.de||"},
			problems: []string{
				"-2 email contacts.address_no_at", "-3 email contacts.address_domain", "-4 email contacts.address_local", "-5 email contacts.address_local",
				"-6 email contacts.address_local", "-7 email contacts.address_domain", "-8 email contacts.address_domain", "-10 email contacts.address_local",
			},
		},
		{name: "no address in a row", file: "email,name\n,Anna\na@x.de,A\n", counts: "2/1/0/0/1", people: []string{"a@x.de|A|"}, problems: []string{"-2 email contacts.no_address"}},
		{
			name: "duplicates", file: "email,name,city\nAnna@X.de,Anna,\nanna@x.DE,,Berlin\nanna@x.de,Anna,Berlin\nanna@x.de,Anna K,\n",
			counts: "4/1/2/1/0", people: []string{"Anna@X.de|Anna K|city=Berlin"},
		},
		{name: "Chinese header", file: "姓名,邮箱,城市\n王小明,wang@x.cn,北京\n", counts: one, people: []string{"wang@x.cn|王小明|城市=北京"}},
		{name: "family and given name in Chinese", file: "姓,名,电子邮件\n王,小明,wang@x.cn\n", counts: one, people: []string{"wang@x.cn|王小明|名=小明 姓=王"}},
		{name: "Spanish header", file: "Correo electrónico;Nombre;Apellidos\na@x.es;Ana;García López\n", counts: one, people: []string{"a@x.es|Ana García López|apellidos=García López nombre=Ana"}},
		{name: "German header", file: "E-Mail-Adresse;Vorname;Name\na@x.de;Anna;Köhler\n", counts: one, people: []string{"a@x.de|Anna Köhler|name_2=Köhler vorname=Anna"}},
		{name: "French header", file: "Adresse e-mail;Prénom;Nom\na@x.fr;Zoé;Dupont\n", counts: one, people: []string{"a@x.fr|Zoé Dupont|nom=Dupont prénom=Zoé"}},
		{name: "Dutch header", file: "emailadres,voornaam,achternaam\na@x.nl,Jan,Vos\n", counts: one, people: []string{"a@x.nl|Jan Vos|achternaam=Vos voornaam=Jan"}},
		{name: "first and last name", file: "First Name,Last Name,Email\nAnna,Köhler,a@x.de\n", counts: one, people: []string{"a@x.de|Anna Köhler|first_name=Anna last_name=Köhler"}},
		{name: "first and whole name", file: "First name,Name,E-mail\nAnna,Anna Köhler,a@x.de\n", counts: one, people: []string{"a@x.de|Anna Köhler|first_name=Anna"}},
		{name: "a header that only sounds so", file: "Email opt-in,Kunden E-Mail,X\nyes,a@x.de,1\n", counts: one, people: []string{"a@x.de||email_opt_in=yes x=1"}},
		{name: "several e-mail columns", file: "Name,E-Mail,Email,email\nA,a@x.de,b@x.de,c@x.de\n", counts: one, people: []string{"a@x.de|A|email_2=b@x.de email_3=c@x.de"}},
		{name: "header of unknown words", file: "who,where\nAnna,a@x.de\nBob,b@x.de\n", counts: "2/2/0/0/0", people: []string{"a@x.de||who=Anna", "b@x.de||who=Bob"}},
		{name: "no header", file: "Anna,a@x.de,7\nBob,b@x.de,8\nCarl,bad@,9\n", counts: "3/2/0/0/1", people: []string{"a@x.de||column_1=Anna column_3=7", "b@x.de||column_1=Bob column_3=8"}, problems: []string{"-3 2 contacts.address_domain"}},
		{name: "no header and a bad first row", file: "bad@@,Anna\nb@x.de,Bob\n", counts: "2/1/0/0/1", people: []string{"b@x.de||column_2=Bob"}, problems: []string{"-1 1 contacts.address_domain"}},
		{name: "one column", file: "a@x.de\nb@x.de\n", counts: "2/2/0/0/0", people: []string{"a@x.de||", "b@x.de||"}},
		{name: "blank lines", file: "\n\nemail,name\n\na@x.de,A\n,,\n  \nbad,B\n", counts: "2/1/0/0/1", people: []string{"a@x.de|A|"}, problems: []string{"-8 email contacts.address_no_at"}},
		{name: "spaces and invisible characters", file: "email , name\n \u00A0a@x.de\u200B ,\u3000Anna \n", counts: one, people: []string{"a@x.de|Anna|"}},
		{name: "leading zeros and long numbers", file: "email,zip,iban\na@x.de,01234,12345678901234567890\n", counts: one, people: []string{"a@x.de||iban=12345678901234567890 zip=01234"}},
		{name: "marked against formulas", file: "email,phone,note\na@x.de,'+49 30 1,'tis so\n", counts: one, people: []string{"a@x.de||note='tis so phone=+49 30 1"}},
		{name: "a name that is another address", file: "email,name\na@x.de,b@x.de\nc@x.de,C@X.DE\n", counts: "2/2/0/0/0", people: []string{"a@x.de|b@x.de|", "c@x.de||"}, problems: []string{"2 name contacts.name_is_address"}},
		{name: "a long name", file: "email,name\na@x.de," + strings.Repeat("ü", 300) + "\n", counts: one, people: []string{"a@x.de|" + strings.Repeat("ü", 200) + "|"}, problems: []string{"2 name contacts.name_cut"}},
		{
			name: "a huge cell", file: "email,note\na@x.de," + strings.Repeat("x", maxCell+1) + "\nb@x.de," + strings.Repeat("x", maxCell) + "\n",
			counts: "2/1/0/0/1", people: []string{"b@x.de||note=" + strings.Repeat("x", maxCell)}, problems: []string{"-2 note contacts.cell_too_long"},
		},
		{name: "a huge row", file: "email,note\na@x.de," + strings.Repeat("x", maxRecord+100_000) + "\r\nb@x.de,B\n", counts: "2/1/0/0/1", people: []string{"b@x.de||note=B"}, problems: []string{"-2  contacts.row_too_long"}},
		{name: "a huge quoted row", file: "email,note\na@x.de,\"" + strings.Repeat("x", maxRecord+100_000) + "\"\nb@x.de,B\n", counts: "2/1/0/0/1", people: []string{"b@x.de||note=B"}, problems: []string{"-2  contacts.row_too_long"}},
		{name: "an open quote before much", file: "email,note\na@x.de,\"x\n" + strings.Repeat("b@x.de,B\n", 200_000), counts: "200001/1/0/199999/1", people: []string{"b@x.de||note=B"}, problems: []string{"-2  contacts.quote_open"}},
		{name: "only a header", file: "email,name\n", counts: "0/0/0/0/0"},
		{name: "256 columns", file: "email" + strings.Repeat(",", 255) + "x\na@x.de\n", counts: one, people: []string{"a@x.de||"}},

		{name: "300 columns", file: "email," + wide + "y\na@x.de\n", refused: "contacts.too_many_columns"},
		{name: "300 columns far below", file: "email\n" + strings.Repeat("a@x.de\n", 300) + "a@x.de," + wide + "y\n", refused: "contacts.too_many_columns"},
		{name: "empty", file: "", refused: "contacts.empty_file"},
		{name: "only a BOM", file: "\xEF\xBB\xBF", refused: "contacts.empty_file"},
		{name: "only blank lines", file: "\r\n \r\n\t\r\n", refused: "contacts.empty_file"},
		{name: "PNG", file: "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", refused: "contacts.is_image"},
		{name: "JPEG", file: "\xff\xd8\xff\xe0\x00\x10JFIF", refused: "contacts.is_image"},
		{name: "HTML", file: "<!DOCTYPE html>\n<html><body>a@x.de</body></html>", refused: "contacts.is_html"},
		{name: "HTML table", file: " <table border=1><tr><td>a@x.de</td></tr></table>", refused: "contacts.is_html"},
		{name: "XML", file: "<?xml version=\"1.0\"?><a>a@x.de</a>", refused: "contacts.is_html"},
		{name: "workbook", file: "PK\x03\x04\x14\x00\x06\x00", refused: "contacts.is_workbook"},
		{name: "PDF", file: "%PDF-1.7\n...", refused: "contacts.is_pdf"},
		{name: "binary", file: strings.Repeat("\x00\x01\x02a@x.de\x03\x04", 100), refused: "contacts.is_binary"},
		{name: "prose", file: "Dear all,\nplease find the list elsewhere.\n", refused: "contacts.no_address_column"},
	}
}

func describe(b *memoryBook) []string {
	var all []string
	for _, c := range b.people {
		all = append(all, describeContact(c))
	}
	sort.Strings(all)
	return all
}

func describeContact(c post.Contact) string {
	var fields []string
	for k, v := range c.Fields {
		if v != "" {
			fields = append(fields, k+"="+v)
		}
	}
	sort.Strings(fields)
	return c.Address + "|" + c.Name + "|" + strings.Join(fields, " ")
}

func describeProblems(ps []Problem) []string {
	var all []string
	for _, p := range ps {
		mark := ""
		if p.Skipped {
			mark = "-"
		}
		all = append(all, fmt.Sprintf("%s%d %s %s", mark, p.Row, p.Column, p.Reason.Key))
	}
	return all
}

func TestAwkwardFiles(t *testing.T) {
	all := append(awkwardFiles(t), awkwardForms(t)...)
	t.Logf("%d files", len(all))
	if len(all) < 60 {
		t.Errorf("only %d files: the table is not whole", len(all))
	}
	for _, tc := range all {
		t.Run(tc.name, func(t *testing.T) {
			path := writeFile(t, tc.file)
			book := newBook()
			dry, dryErr := Import(context.Background(), book, path, Options{DryRun: true})
			if len(book.people) != 0 {
				t.Fatal("a dry run changed the book")
			}
			rep, err := Import(context.Background(), book, path, Options{})
			if tc.refused != "" {
				wantRefusal(t, dryErr, tc.refused)
				wantRefusal(t, err, tc.refused)
				if len(book.people) != 0 {
					t.Errorf("a refused file changed the book: %v", describe(book))
				}
				return
			}
			if err != nil || dryErr != nil {
				t.Fatal(err, dryErr)
			}
			if d := cmp.Diff(dry, rep); d != "" {
				t.Errorf("the dry run said otherwise:\n%s", d)
			}
			if got := fmt.Sprintf("%d/%d/%d/%d/%d", rep.Read, rep.Added, rep.Updated, rep.Unchanged, rep.Skipped); got != tc.counts {
				t.Errorf("counts %s, want %s", got, tc.counts)
			}
			if rep.Read != rep.Added+rep.Updated+rep.Unchanged+rep.Skipped {
				t.Errorf("rows unaccounted for: %+v", rep)
			}
			sort.Strings(tc.people)
			if d := cmp.Diff(tc.people, describe(book)); d != "" {
				t.Errorf("people (-want +got):\n%s", d)
			}
			if d := cmp.Diff(tc.problems, describeProblems(rep.Problems)); d != "" {
				t.Errorf("problems (-want +got):\n%s", d)
			}
			for _, p := range rep.Problems {
				if len(p.Value) > maxShown+3 || strings.ContainsAny(p.Value, "\x00\n\u202e") {
					t.Errorf("the value shown is %q", p.Value)
				}
			}
		})
	}
}

func wantRefusal(t *testing.T, err error, key string) {
	t.Helper()
	pe, ok := err.(*post.Error) //nolint:errorlint // the outermost is what users see
	if !ok || pe.Kind != post.KindInvalid || pe.Reason.Key != key || pe.Message == "" {
		t.Errorf("got %v (%+v), want the refusal %s", err, pe, key)
	}
}
