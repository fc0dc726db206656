package smtpscript

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// verbOf recognises a command by its first word, in any case.
func verbOf(line []byte) int {
	word, _, _ := bytes.Cut(line, []byte(" "))
	for v, name := range verbNames[:verbOther] {
		if len(word) == len(name) && strings.EqualFold(string(word), name) {
			return v
		}
	}
	return verbOther
}

// lastInGroup are the commands behind which nothing may be pipelined (RFC 2920
// 3.1). DATA is checked where the body begins, STARTTLS where TLS does.
var lastInGroup = [verbs]bool{verbEHLO: true, verbHELO: true, verbAUTH: true, verbNOOP: true, verbQUIT: true}

// command does one line.
func (c *session) command(line []byte) error {
	if !bytes.HasSuffix(line, []byte("\r\n")) {
		c.violation("command ends in a bare LF")
	}
	line = bytes.TrimRight(line, "\r\n")
	verb := verbOf(line)
	c.srv.counters.verbs[verb].Add(1)
	c.log.commands.Add(1)
	c.srv.notify()
	if verb == verbAUTH {
		word := bytes.Fields(line)
		line = bytes.Join(word[:min(2, len(word))], []byte(" "))
		c.note("C", line)
		err := c.auth(word)
		c.discard()
		return err
	}
	c.note("C", line)
	if c.r < c.w {
		if lastInGroup[verb] {
			c.violation("input behind " + verbNames[verb])
		} else if !c.srv.cfg.has("PIPELINING") {
			c.violation("pipelining that was not offered")
		}
	}
	err := c.dispatch(verb, line)
	if !c.inBody {
		c.discard()
	}
	return err
}

// discard is BreakDiscard: what came behind a command is lost.
func (c *session) discard() {
	if c.srv.cfg.Break&BreakDiscard != 0 && c.r < c.w {
		c.note("!", []byte("pipelined input thrown away"))
		c.r = c.w
	}
}

func (c *session) dispatch(verb int, line []byte) error {
	if len(line) > maxCommand {
		return c.answer(PhaseOther, line, "500 5.5.6 line too long")
	}
	switch verb {
	case verbEHLO, verbHELO:
		return c.hi(verb, line)
	case verbSTARTTLS:
		return c.upgrade(line)
	case verbMAIL:
		return c.mail(line)
	case verbRCPT:
		return c.rcpt(line)
	case verbDATA:
		return c.data(line)
	case verbRSET:
		err := c.answer(PhaseRSET, line, "250 2.0.0 Ok")
		c.resetMail()
		return err
	case verbNOOP:
		return c.answer(PhaseNOOP, line, "250 2.0.0 Ok")
	case verbQUIT:
		def := "221 2.0.0 Bye"
		act := c.ask(PhaseQUIT, line, def)
		if act.End == EndNone {
			act.End = EndClose
		}
		return c.say(act, def)
	}
	word, _, _ := bytes.Cut(line, []byte(" "))
	if bytes.EqualFold(word, []byte("VRFY")) {
		return c.answer(PhaseOther, line, "252 2.5.0 cannot VRFY")
	}
	return c.answer(PhaseOther, line, "500 5.5.1 command not recognised")
}

func (c *session) resetMail() {
	c.hasFrom, c.from, c.fromParams, c.utf8 = false, c.from[:0], "", false
	c.rcpts, c.rcptParams, c.lastRcpt = c.rcpts[:0], c.rcptParams[:0], c.lastRcpt[:0]
}

func (c *session) hi(verb int, line []byte) error {
	def := "250 " + c.srv.cfg.Host
	if verb == verbEHLO {
		def = c.greetBack()
	}
	act := c.ask(PhaseEHLO, line, def)
	if act.class(def) == '2' {
		c.hello = true
		c.resetMail()
	}
	return c.say(act, def)
}

func (c *session) greetBack() string {
	cfg := &c.srv.cfg
	lines := []string{"250 " + cfg.Host}
	offer := func(keyword, args string) {
		if cfg.has(keyword) {
			lines = append(lines, strings.TrimRight(keyword+" "+args, " "))
		}
	}
	offer("PIPELINING", "")
	offer("SIZE", strconv.FormatInt(cfg.MaxSize, 10))
	if cfg.Mode == STARTTLS && !c.secure {
		offer("STARTTLS", "")
	}
	if cfg.User != "" && c.mayAuth() {
		offer("AUTH", strings.Join(cfg.Mechanisms, " "))
	}
	offer("8BITMIME", "")
	offer("SMTPUTF8", "")
	offer("DSN", "")
	offer("ENHANCEDSTATUSCODES", "")
	return strings.Join(append(lines, cfg.With...), "\n")
}

func (c *session) mayAuth() bool {
	return c.srv.cfg.Mode == Plain || c.secure || c.srv.cfg.AuthInClear
}

func (c *session) upgrade(line []byte) error {
	def := "220 2.0.0 go ahead"
	switch {
	case c.srv.cfg.Mode != STARTTLS || !c.srv.cfg.has("STARTTLS"):
		def = "502 5.5.1 STARTTLS not available"
	case c.secure:
		def = "503 5.5.1 TLS is on already"
	}
	act := c.ask(PhaseSTARTTLS, line, def)
	if err := c.say(act, def); err != nil {
		return err
	}
	if act.class(def) != '2' || c.srv.tls == nil || c.secure {
		return nil
	}
	if err := c.flush(); err != nil {
		return err
	}
	c.hello = false
	c.resetMail()
	return c.startTLS()
}

func (c *session) mail(line []byte) error {
	c.mails++
	c.total = int(c.srv.counters.messages.Add(1))
	addr, params, ok := path(line, "MAIL FROM:")
	c.from = append(c.from[:0], addr...)
	def := "250 2.1.0 Ok"
	switch {
	case !c.hello:
		def = "503 5.5.1 say EHLO first"
	case c.srv.cfg.Mode == STARTTLS && !c.secure && c.srv.cfg.has("STARTTLS") && !c.srv.cfg.AuthInClear:
		def = "530 5.7.0 must issue STARTTLS first"
	case c.srv.cfg.User != "" && c.user == "":
		def = "530 5.7.0 sign-in required"
	case c.hasFrom:
		def = "503 5.5.1 nested MAIL"
	case !ok:
		def = "501 5.5.4 syntax: MAIL FROM:<address>"
	default:
		if bad := c.mailParams(params); bad != "" {
			def = bad
		} else if !c.utf8 && !ascii(addr) {
			def = "553 5.6.7 address needs SMTPUTF8"
		}
	}
	act := c.ask(PhaseMAIL, line, def)
	if act.class(def) == '2' {
		c.hasFrom, c.fromParams = true, string(params)
	}
	return c.say(act, def)
}

// mailKeys says which extension brings a parameter of MAIL.
var mailKeys = map[string]string{
	"SIZE": "SIZE", "BODY": "8BITMIME", "SMTPUTF8": "SMTPUTF8", "RET": "DSN", "ENVID": "DSN", "AUTH": "AUTH",
}

// mailParams returns the refusal of ESMTP parameters, "" when they are good.
func (c *session) mailParams(params []byte) string {
	for param := range strings.FieldsSeq(string(params)) {
		key, value, _ := strings.Cut(param, "=")
		needs := mailKeys[strings.ToUpper(key)]
		if needs == "" || !c.srv.cfg.has(needs) {
			return "555 5.5.4 unknown parameter " + key
		}
		switch needs {
		case "SMTPUTF8":
			c.utf8 = true
		case "SIZE":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n < 0 {
				return "501 5.5.4 bad SIZE"
			}
			if n > c.srv.cfg.MaxSize {
				return "552 5.3.4 message too big"
			}
		}
	}
	return ""
}

func (c *session) rcpt(line []byte) error {
	addr, params, ok := path(line, "RCPT TO:")
	c.lastRcpt = append(c.lastRcpt[:0], addr...)
	def := "250 2.1.5 Ok"
	switch {
	case !c.hasFrom:
		def = "503 5.5.1 MAIL first"
	case !ok || len(addr) == 0:
		def = "501 5.5.4 syntax: RCPT TO:<address>"
	case !c.utf8 && !ascii(addr):
		def = "553 5.6.7 address needs SMTPUTF8"
	}
	for param := range strings.FieldsSeq(string(params)) {
		key, _, _ := strings.Cut(strings.ToUpper(param), "=")
		if def[0] == '2' && (!slices.Contains([]string{"NOTIFY", "ORCPT"}, key) || !c.srv.cfg.has("DSN")) {
			def = "555 5.5.4 unknown parameter " + key
		}
	}
	act := c.ask(PhaseRCPT, line, def)
	if act.class(def) == '2' {
		c.addRcpt(addr, params)
	}
	return c.say(act, def)
}

// addRcpt keeps the recipient in memory that earlier messages used.
func (c *session) addRcpt(addr, params []byte) {
	n := len(c.rcpts)
	if n < cap(c.rcpts) {
		c.rcpts = c.rcpts[:n+1]
	} else {
		c.rcpts = append(c.rcpts, nil)
	}
	c.rcpts[n] = append(c.rcpts[n][:0], addr...)
	c.rcptParams = append(c.rcptParams, string(params))
}

func (c *session) data(line []byte) error {
	def := "354 end with a dot"
	switch {
	case !c.hasFrom:
		def = "503 5.5.1 MAIL first"
	case len(c.rcpts) == 0:
		def = "554 5.5.1 no valid recipients"
	}
	act := c.ask(PhaseDATA, line, def)
	if act.class(def) == '3' {
		c.beginBody()
	}
	return c.say(act, def)
}

// path splits "MAIL FROM:<addr> params" after its verb.
func path(line []byte, prefix string) (addr, params []byte, ok bool) {
	if len(line) < len(prefix) || !bytes.EqualFold(line[:len(prefix)], []byte(prefix)) {
		return nil, nil, false
	}
	rest := bytes.TrimLeft(line[len(prefix):], " ")
	if len(rest) == 0 || rest[0] != '<' {
		return nil, nil, false
	}
	quoted := false
	for i := 1; i < len(rest); i++ {
		switch b := rest[i]; {
		case b == '"':
			quoted = !quoted
		case b == '\\' && quoted:
			i++
		case b < ' ', b == 0x7f, !quoted && (b == ' ' || b == '<'):
			return nil, nil, false
		case b == '>' && !quoted:
			after := rest[i+1:]
			return rest[1:i], bytes.TrimSpace(after), len(after) == 0 || after[0] == ' '
		}
	}
	return nil, nil, false
}

func ascii(p []byte) bool {
	for _, b := range p {
		if b >= 0x80 {
			return false
		}
	}
	return true
}
