package compose

// maxQuoted is how many columns of a quoted-printable line hold content; the
// 76th is left for the soft break's "=" (RFC 2045 6.7, rule 5).
const maxQuoted = 75

// quoter writes quoted-printable text (RFC 2045 6.7). Its input is UTF-8 with
// "\n" line ends and may come in any number of pieces: the output depends on
// their concatenation alone. Beyond the RFC it never begins a line with a dot
// (written =2E, so that RFC 5321 4.5.2 has nothing to stuff) nor with "From "
// (the space is written =20, so that no mbox on the way mangles it).
//
// The state is no more than the column and one held-back space, and is clean
// after every line end. That is what lets literals be encoded once: see literal.
type quoter struct {
	out []byte
	col int
	// held is a space or tab whose form depends on what follows: at the end of
	// a line it must be encoded. 0 for none.
	held byte
	text int // octets that went in
}

// The classes of an octet for the encoder.
const (
	classEncode = iota // becomes =XX
	classPlain
	classDot
	classSpace
	classNewline
)

var classes = func() (t [256]uint8) {
	for c := 33; c <= 126; c++ {
		t[c] = classPlain
	}
	t['='], t['.'], t[' '], t['\t'], t['\n'] = classEncode, classDot, classSpace, classSpace, classNewline
	return t
}()

const hexDigits = "0123456789ABCDEF"

// write encodes s.
func (q *quoter) write(s string) {
	q.text += len(s)
	for i := 0; i < len(s); {
		if n := q.run(s[i:]); n > 0 {
			i += n
			continue
		}
		c := s[i]
		i++
		switch classes[c] {
		case classNewline:
			q.newline()
		case classSpace:
			q.flush()
			q.held = c
		case classPlain:
			q.flush()
			q.room(1)
			q.out = append(q.out, c)
			q.col++
		case classDot:
			q.flush()
			if q.room(1); q.col == 0 {
				q.hex(c)
				break
			}
			q.out = append(q.out, c)
			q.col++
		default:
			q.flush()
			q.hex(c)
		}
	}
}

// run copies as many octets off the front of s as can go out as they are on the
// current line, and returns their number. Spaces are among them only where an
// octet of the same run follows, and never in column 4, where "From " would end.
func (q *quoter) run(s string) int {
	if q.held != 0 || q.col >= maxQuoted {
		return 0
	}
	limit := min(len(s), maxQuoted-q.col)
	n, last := 0, 0
loop:
	for n < limit {
		switch classes[s[n]] {
		case classPlain:
			n++
			last = n
		case classDot:
			if q.col+n == 0 {
				break loop
			}
			n++
			last = n
		case classSpace:
			if q.col+n == 4 {
				break loop
			}
			n++
		default:
			break loop
		}
	}
	q.out = append(q.out, s[:last]...)
	q.col += last
	return last
}

// room makes sure that n more columns fit, breaking the line softly if not.
func (q *quoter) room(n int) {
	if q.col+n > maxQuoted {
		q.out = append(q.out, '=', '\r', '\n')
		q.col = 0
	}
}

func (q *quoter) hex(c byte) {
	q.room(3)
	q.out = append(q.out, '=', hexDigits[c>>4], hexDigits[c&15])
	q.col += 3
}

// flush writes a held space when something other than a line end follows it.
func (q *quoter) flush() {
	if q.held == 0 {
		return
	}
	c := q.held
	q.held = 0
	if q.room(1); q.col == 4 && string(q.out[len(q.out)-4:]) == "From" {
		q.hex(c)
		return
	}
	q.out = append(q.out, c)
	q.col++
}

func (q *quoter) newline() {
	if c := q.held; c != 0 {
		q.held = 0
		q.hex(c)
	}
	q.out = append(q.out, '\r', '\n')
	q.col = 0
}

// finish ends the last line where it is not ended yet.
func (q *quoter) finish() {
	if q.col > 0 || q.held != 0 {
		q.newline()
	}
}

// literal is text that is the same for every recipient, encoded as far as can
// be known beforehand: up to its first line end the encoding depends on the
// column that the field before it left, after that on nothing.
type literal struct {
	text string
	head string // up to and with the first line end; all of text when there is none
	rest []byte // the encoding of what follows head
	col  int    // the encoder's state after rest
	held byte
}

// prepare encodes what of the literal can be encoded once. atStart says that
// it stands at the very beginning of its part.
func (l *literal) prepare(atStart bool) {
	cut := 0
	if !atStart {
		cut = len(l.text)
		for i := range len(l.text) {
			if l.text[i] == '\n' {
				cut = i + 1
				break
			}
		}
	}
	l.head = l.text[:cut]
	if cut == len(l.text) {
		return
	}
	q := quoter{out: make([]byte, 0, len(l.text)-cut+(len(l.text)-cut)/8)}
	q.write(l.text[cut:])
	l.rest, l.col, l.held = q.out, q.col, q.held
}

// literal writes l as write(l.text) would.
func (q *quoter) literal(l *literal) {
	q.write(l.head)
	if l.rest != nil || l.held != 0 {
		q.text += len(l.text) - len(l.head)
		q.out = append(q.out, l.rest...)
		q.col, q.held = l.col, l.held
	}
}
