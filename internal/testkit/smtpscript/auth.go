package smtpscript

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
)

// auth does RFC 4954. The script is asked once, when the last reply is due.
func (c *session) auth(words [][]byte) error {
	cfg := &c.srv.cfg
	mechanism := ""
	if len(words) > 1 {
		mechanism = strings.ToUpper(string(words[1]))
	}
	def := ""
	switch {
	case !c.hello:
		def = "503 5.5.1 say EHLO first"
	case cfg.User == "" || !cfg.has("AUTH"):
		def = "502 5.5.1 AUTH not available"
	case !c.mayAuth():
		def = "538 5.7.11 encryption required"
	case c.user != "":
		def = "503 5.5.1 signed in already"
	case !slices.Contains(cfg.Mechanisms, mechanism):
		def = "504 5.5.4 unknown mechanism"
	}
	if def == "" {
		good, err := c.exchange(mechanism, words[2:])
		if err != nil {
			return err
		}
		def = "535 5.7.8 wrong user name or password"
		if good {
			def = "235 2.7.0 signed in"
		}
	}
	act := c.ask(PhaseAuth, []byte("AUTH "+mechanism), def)
	if act.class(def) == '2' {
		c.user = cfg.User
		c.srv.counters.signIns.Add(1)
		c.srv.mu.Lock()
		c.log.user = c.user
		c.srv.mu.Unlock()
	} else {
		c.srv.counters.signInFails.Add(1)
	}
	c.srv.notify()
	return c.say(act, def)
}

// exchange reads the credentials and compares.
func (c *session) exchange(mechanism string, initial [][]byte) (bool, error) {
	user, password := c.srv.cfg.User, c.srv.cfg.Password
	next := func(challenge string) (string, error) {
		if len(initial) > 0 {
			first := initial[0]
			initial = nil
			if string(first) == "=" {
				return "", nil
			}
			return decode(first), nil
		}
		return c.challenge(challenge)
	}
	switch mechanism {
	case "PLAIN":
		got, err := next("")
		part := strings.Split(got, "\x00")
		return len(part) == 3 && part[1] == user && part[2] == password, err
	case "LOGIN":
		u, err := next("Username:")
		if err != nil {
			return false, err
		}
		p, err := next("Password:")
		return u == user && p == password, err
	case "CRAM-MD5":
		const nonce = "<1.2@mail.example>"
		got, err := c.challenge(nonce)
		mac := hmac.New(md5.New, []byte(password))
		mac.Write([]byte(nonce))
		return got == user+" "+hex.EncodeToString(mac.Sum(nil)), err
	case "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS":
		return c.scram(mechanism, initial)
	case "XOAUTH2":
		got, err := next("")
		if err != nil || c.takesToken(got, "user="+user+"\x01auth=Bearer ") {
			return err == nil, err
		}
		_, err = c.challenge(`{"status":"401","schemes":"bearer","scope":"mail"}`)
		return false, err
	case "OAUTHBEARER":
		got, err := next("")
		host, port := c.srv.HostPort()
		if err != nil || c.takesToken(got, "n,a="+user+",\x01host="+host+"\x01port="+strconv.Itoa(port)+"\x01auth=Bearer ") {
			return err == nil, err
		}
		_, err = c.challenge(`{"status":"invalid_token","scope":"mail"}`)
		return false, err
	}
	return false, nil
}

// takesToken compares what stands before and behind the token, and asks about
// the token.
func (c *session) takesToken(got, before string) bool {
	token, ok := strings.CutPrefix(got, before)
	token, ended := strings.CutSuffix(token, "\x01\x01")
	if !ok || !ended {
		return false
	}
	if c.srv.cfg.Token != nil {
		return c.srv.cfg.Token(token)
	}
	return token == c.srv.cfg.Password
}

// challenge sends a 334 and returns the decoded answer; "*" makes it empty.
func (c *session) challenge(text string) (string, error) {
	c.queue(wire("334 " + base64.StdEncoding.EncodeToString([]byte(text))))
	for {
		line, ok := c.nextLine()
		if !ok {
			if err := c.fill(); err != nil {
				return "", err
			}
			continue
		}
		c.note("C", []byte("<credentials>"))
		if len(line) > maxLine {
			return "", nil
		}
		return decode(bytes.TrimRight(line, "\r\n")), nil
	}
}

// decode returns "" for what is not base64: no credentials are empty.
func decode(b []byte) string {
	text, err := base64.StdEncoding.DecodeString(string(b))
	if err != nil {
		return ""
	}
	return string(text)
}
