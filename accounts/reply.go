package accounts

import (
	"bytes"
	"time"

	"postroom/post"
)

// ReadReply reads one reply (RFC 5321 4.2), of one line or several, before
// deadline, which is for the whole reply: a server that drips does not extend
// it. A zero deadline waits for ever.
//
// Each line is three digits, of which the first is 2 to 5, then nothing, or a
// space or hyphen and text. A line may end in LF alone. Anything else, a NUL,
// or lines of different codes are CauseProtocol; a line over 4 KB, a reply over
// 64 KB or 200 lines, or more than 1 MB since ResetCap are CauseTooLong. Lines
// are joined by a space; an enhanced status code (RFC 2034) counts from the
// first line and is taken off the others. The error is a *WireError.
func (w *Wire) ReadReply(deadline time.Time) (post.Reply, error) {
	return w.readReply(deadline, nil)
}

// readReply is ReadReply; each, where given, gets the raw text of each line,
// which is valid during the call only.
func (w *Wire) readReply(deadline time.Time, each func(text []byte)) (post.Reply, error) {
	if w.readErr != nil {
		return post.Reply{}, w.readErr
	}
	armed := false
	code, lines, size := 0, 0, 0
	w.text = w.text[:0]
	for {
		line, err := w.readLine(deadline, &armed)
		if err != nil {
			return post.Reply{}, w.failRead(err, code)
		}
		lines++
		size += len(line) + 2
		if lines > maxReplyLines || size > maxReply {
			return post.Reply{}, w.failRead(&WireError{Cause: post.CauseTooLong, Detail: "the reply is too long"}, code)
		}
		c, more, text, ok := splitReplyLine(line)
		switch {
		case !ok:
			return post.Reply{}, w.failRead(&WireError{Cause: post.CauseProtocol, Detail: "not a reply: " + excerpt(line)}, code)
		case code != 0 && c != code:
			return post.Reply{}, w.failRead(&WireError{Cause: post.CauseProtocol, Detail: "one reply with two codes: " + excerpt(line)}, code)
		}
		code = c
		if each != nil {
			each(text)
		}
		if lines == 1 && !more {
			return post.NewReply(code, string(text)), nil
		}
		w.join(code, lines, text)
		if !more {
			return post.NewReply(code, string(w.text)), nil
		}
	}
}

// joinedText is how much of a reply of several lines is kept before cleaning:
// cleaning can make it three times shorter.
const joinedText = 3*post.MaxReplyText + 16

// join adds one line's text to w.text.
func (w *Wire) join(code, line int, text []byte) {
	if len(w.text) >= joinedText {
		return
	}
	if line > 1 {
		text = bytes.TrimLeft(text, " ")
		first, _, _ := bytes.Cut(w.text, []byte{' '})
		if rest, ok := bytes.CutPrefix(text, first); ok && len(first) > 0 && (len(rest) == 0 || rest[0] == ' ') &&
			post.NewReply(code, string(first)).Enhanced != "" {
			text = bytes.TrimLeft(rest, " ")
		}
		if len(text) > 0 && len(w.text) > 0 {
			w.text = append(w.text, ' ')
		}
	} else {
		text = bytes.TrimLeft(text, " ")
	}
	w.text = append(w.text, text[:min(len(text), joinedText-min(len(w.text), joinedText))]...)
}

// readLine returns the next line without its end; it is valid until the next
// read. armed says whether the socket has this reply's deadline already.
func (w *Wire) readLine(deadline time.Time, armed *bool) ([]byte, error) {
	scanned := 0
	for {
		if i := bytes.IndexByte(w.buf[w.r+scanned:w.w], '\n'); i >= 0 {
			end := w.r + scanned + i
			if end+1-w.r > maxLine {
				return nil, errLineTooLong()
			}
			line := w.buf[w.r:end]
			w.r = end + 1
			if w.r == w.w {
				w.r, w.w = 0, 0
			}
			if n := len(line); n > 0 && line[n-1] == '\r' {
				line = line[:n-1]
			}
			return line, nil
		}
		scanned = w.w - w.r
		if scanned >= maxLine {
			return nil, errLineTooLong()
		}
		if !*armed {
			if err := w.c.SetReadDeadline(deadline); err != nil {
				return nil, err
			}
			*armed = true
		}
		if err := w.fill(); err != nil {
			return nil, err
		}
	}
}

func errLineTooLong() error {
	return &WireError{Cause: post.CauseTooLong, Detail: "a line of the reply is too long"}
}

// fill reads once from the connection into the buffer, which has room for a
// whole line behind w.r.
func (w *Wire) fill() error {
	if w.pending != nil {
		return w.pending
	}
	if w.r > 0 {
		w.w = copy(w.buf, w.buf[w.r:w.w])
		w.r = 0
	}
	for range 100 { // a reader may return nothing a few times (io.Reader)
		n, err := w.c.Read(w.buf[w.w:])
		w.w += n
		w.received += n
		switch {
		case w.received > maxReceived:
			return &WireError{Cause: post.CauseTooLong, Detail: "the server sends too much"}
		case n > 0:
			w.pending = err
			return nil
		case err != nil:
			return err
		}
	}
	return errNoProgress
}

// failRead ends the reading direction. code is that of the lines read before,
// 0 for none.
func (w *Wire) failRead(err error, code int) error {
	we, ok := err.(*WireError) //nolint:errorlint // our own, made a moment ago: never wrapped
	if !ok {
		we = &WireError{Cause: w.cause(err), Err: err, Partial: w.partial(code)}
	}
	w.readErr = we
	return we
}

// partial makes what it can of a reply that was cut off; see WireError.
func (w *Wire) partial(code int) post.Reply {
	rest := w.buf[w.r:w.w]
	if bytes.IndexByte(rest, 0) >= 0 {
		return post.Reply{}
	}
	if len(rest) >= 4 {
		c, _, text, ok := splitReplyLine(bytes.TrimSuffix(rest, []byte{'\r'}))
		switch {
		case len(bytes.TrimSuffix(rest, []byte{'\r'})) < 4 && code == 0:
			return post.Reply{} // "250" and half a line end
		case !ok, code != 0 && c != code:
			return post.Reply{}
		}
		if code == 0 {
			w.text = w.text[:0]
			w.join(c, 1, text)
		} else {
			w.join(c, 2, text)
		}
		code = c
	}
	if code == 0 {
		return post.Reply{}
	}
	return post.NewReply(code, string(w.text))
}

// splitReplyLine takes a reply line apart (RFC 5321 4.2, Reply-line). more says
// that another line follows.
func splitReplyLine(line []byte) (code int, more bool, text []byte, ok bool) {
	if len(line) < 3 || line[0] < '2' || line[0] > '5' || !digit(line[1]) || !digit(line[2]) {
		return 0, false, nil, false
	}
	code = int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	if len(line) == 3 {
		return code, false, nil, true
	}
	if line[3] != ' ' && line[3] != '-' || bytes.IndexByte(line, 0) >= 0 {
		return 0, false, nil, false
	}
	return code, line[3] == '-', line[4:], true
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// excerpt is the start of an odd line, fit to be shown.
func excerpt(line []byte) string {
	s := post.CleanReply(string(line[:min(len(line), 80)]))
	if s == "" {
		return "an empty line"
	}
	return s
}
