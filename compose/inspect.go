package compose

import (
	"regexp"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"postroom/post"
)

// looks is what a message shows and points at, for Check: found once, when the
// mailing is compiled.
type looks struct {
	links  []linkRef
	images []imageRef
	words  string // what is read, without the values
}

// linkRef is where a link or image leads.
type linkRef struct {
	address string   // as written, tags included
	merged  *program // nil where it is the same for everybody
	line    int      // 0: not known
	image   bool
}

// imageRef is an image without a text for those who do not see it.
type imageRef struct {
	address string
	line    int
}

// inspect reads an HTML text whose tags are protected. src is what the user wrote.
func inspect(protected string, s *shield, src string, n *names) looks {
	var out looks
	var read strings.Builder
	hidden := 0
	z := html.NewTokenizer(strings.NewReader(protected))
	for {
		switch z.Next() {
		case html.ErrorToken:
			out.words = read.String()
			return out
		case html.TextToken:
			if hidden == 0 {
				read.Write(z.Text())
				read.WriteByte(' ')
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			t := z.Token()
			if hiddenElements[t.DataAtom] && t.Type == html.StartTagToken {
				hidden++
			}
			switch t.DataAtom {
			case atom.Body:
				hidden = 0
			case atom.A, atom.Area:
				if hasAttr(t, "href") {
					out.links = append(out.links, s.link(attr(t, "href"), src, n))
				}
			case atom.Img:
				l := s.link(attr(t, "src"), src, n)
				l.image = true
				out.links = append(out.links, l)
				// An empty text says that the image is decoration.
				if !hasAttr(t, "alt") || strings.TrimSpace(attr(t, "alt")) == "" && !isDecoration(t) {
					out.images = append(out.images, imageRef{l.address, l.line})
				}
			}
		case html.EndTagToken:
			if name, _ := z.TagName(); hiddenElements[atom.Lookup(name)] && hidden > 0 {
				hidden--
			}
		}
	}
}

// isDecoration reports the images that nobody is to look at: those as thin as a
// line, or said to be so.
func isDecoration(t html.Token) bool {
	return attr(t, "role") == "presentation" || attr(t, "aria-hidden") == "true" ||
		attr(t, "width") == "1" || attr(t, "height") == "1"
}

func hasAttr(t html.Token, name string) bool {
	for _, a := range t.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}

// link makes the linkRef of an attribute's value.
func (s *shield) link(value, src string, n *names) linkRef {
	l := linkRef{address: strings.TrimSpace(s.restoreAs(value))}
	if at := strings.Index(src, l.address); at >= 0 && l.address != "" {
		l.line = 1 + strings.Count(src[:at], "\n")
	}
	if _, _, _, ok := s.next(value); !ok {
		return l
	}
	tree, err := parseSource("link", s.restore(value), n)
	if err != nil { // the body with the same tags was sound; this is half of a condition
		return l
	}
	l.merged, _ = build(tree, n.index)
	return l
}

// badAddress says why an address cannot stand in a link: a key of the
// catalogue, or "".
func badAddress(address string, image bool) string {
	address = strings.TrimSpace(address)
	scheme, rest, found := strings.Cut(address, ":")
	switch {
	case address == "":
		return "compose.link-empty"
	case strings.HasPrefix(address, "#"):
		return ""
	case !found || strings.ContainsAny(scheme, "/?#"):
		return "compose.link-relative"
	}
	switch strings.ToLower(scheme) {
	case "https", "http":
		host, _, _ := strings.Cut(strings.TrimPrefix(rest, "//"), "/")
		if !strings.HasPrefix(rest, "//") || host == "" || strings.ContainsAny(host, " <>\"") {
			return "compose.link-broken"
		}
		return ""
	case "mailto":
		if !image {
			return ""
		}
	case "cid":
		if image {
			return ""
		}
	}
	return "compose.link-scheme"
}

// attachWords are how a text says that something is attached.
var attachWords = regexp.MustCompile(`(?i)\b(?:attached|attachments?|enclosed|i attach|we attach|im anhang|angehängt|beigefügt|anbei|ci-joint|adjunto)\b|附件|附上|随信附|随函附|附檔|隨信附`)

// notAttached are the ways in which a text says that nothing is.
var notAttached = regexp.MustCompile(`(?i)\b(?:no attachments?|without attachments?|not attached|ohne anhang|attached to (?:you|it|this place))\b|没有附件|無附件|无附件`)

// mentionsAttachment returns the word by which a text speaks of an attachment.
func mentionsAttachment(text string) string {
	return attachWords.FindString(notAttached.ReplaceAllString(text, ""))
}

// shouting reports a subject that filters take for advertising by its looks: in
// capitals throughout, or full of exclamation marks.
func shouting(subject string) bool {
	letters, capitals, marks := 0, 0, 0
	for _, r := range subject {
		switch {
		case r == '!' || r == '！':
			marks++
		case r >= 'A' && r <= 'Z':
			letters++
			capitals++
		case r >= 'a' && r <= 'z':
			letters++
		}
	}
	return letters >= 8 && capitals*10 > letters*8 || marks >= 3 || strings.Contains(subject, "!!") || strings.Contains(subject, "！！") || strings.Contains(subject, "$$")
}

// salesWords are those that filters weigh, in the company of others.
var salesWords = regexp.MustCompile(`(?i)100 ?% free|act now|buy now|click here|limited time|risk[- ]free|winner|no obligation|earn money|cash bonus|free gift|jetzt zugreifen|gratis|gewinner|免费领取|点击这里|点此领取|立即抢购|限时抢购|恭喜您中奖|稳赚|零风险|代开发票`)

// promoSubject are the subjects of mail that advertises.
var promoSubject = regexp.MustCompile(`(?i)\b(?:newsletter|special offers?|discount|% off|black friday|clearance|rabatt|sonderangebot|promo)\b|促销|优惠|特价|打折|折扣|双十一|新品上市`)

// shorteners hide where a link leads; filters refuse them for what others did.
var shorteners = regexp.MustCompile(`(?i)^https?://(?:www\.)?(?:bit\.ly|tinyurl\.com|t\.co|goo\.gl|ow\.ly|is\.gd|t\.cn|url\.cn|dwz\.cn|suo\.im)/`)

// riskyFiles are the extensions that mail providers refuse whatever is inside.
var riskyFiles = regexp.MustCompile(`(?i)\.(?:exe|com|bat|cmd|scr|pif|js|jse|vbs|vbe|wsf|wsh|msi|msp|jar|ps1|hta|cpl|lnk|reg|dll|iso|img|apk|chm)$`)

// freeMail are the mail providers whose addresses only their own servers may
// send: with the ends of these servers' names.
var freeMail = map[string][]string{}

func init() {
	for _, l := range []string{
		"gmail.com googlemail.com > gmail.com google.com googlemail.com",
		"outlook.com hotmail.com live.com msn.com hotmail.de hotmail.co.uk hotmail.fr outlook.de live.de > outlook.com office365.com office.com",
		"yahoo.com yahoo.de yahoo.co.uk yahoo.fr ymail.com > yahoo.com yahoodns.net",
		"aol.com > aol.com yahoo.com",
		"icloud.com me.com mac.com > me.com icloud.com apple.com",
		"gmx.de gmx.net gmx.at gmx.ch > gmx.net gmx.de", "gmx.com > gmx.com gmx.net", "web.de > web.de", "t-online.de magenta.de > t-online.de",
		"freenet.de > freenet.de", "mail.ru list.ru bk.ru inbox.ru > mail.ru", "yandex.ru yandex.com ya.ru > yandex.ru yandex.com yandex.net",
		"qq.com foxmail.com vip.qq.com > qq.com", "163.com vip.163.com > 163.com netease.com", "126.com > 126.com 163.com", "yeah.net > yeah.net 163.com",
		"sina.com sina.cn > sina.com sina.cn", "sohu.com > sohu.com", "139.com > 139.com", "189.cn > 189.cn", "aliyun.com > aliyun.com",
		"proton.me protonmail.com > proton.me protonmail.ch protonmail.com", "zoho.com > zoho.com", "orange.fr wanadoo.fr > orange.fr", "laposte.net > laposte.net",
		"libero.it > libero.it", "naver.com > naver.com", "daum.net > daum.net",
	} {
		domains, hosts, _ := strings.Cut(l, " > ")
		for _, d := range strings.Fields(domains) {
			freeMail[d] = strings.Fields(hosts)
		}
	}
}

// foreignFreeMail reports whether an address of a free mail provider would go
// out through somebody else's server: receivers refuse that or call it spam.
func foreignFreeMail(email, host string) bool {
	a, err := post.ParseAddress(email)
	if err != nil || post.IsLoopbackHost(host) {
		return false
	}
	ends, ok := freeMail[strings.ToLower(a.ASCII)]
	if !ok {
		return false
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	for _, e := range ends {
		if host == e || strings.HasSuffix(host, "."+e) {
			return false
		}
	}
	return true
}
