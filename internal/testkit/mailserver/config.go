//go:build linux

package mailserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	_ "embed"
)

const hostName = "mail.example.test"

//go:embed files/main.cf.tmpl
var mainTemplate string

//go:embed files/master.cf.tmpl
var masterTemplate string

//go:embed files/dovecot.conf.tmpl
var dovecotTemplate string

// opensslConf is read by Dovecot where it is to speak TLS 1.0 alone, for it has no setting of its own for that.
const opensslConf = `openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = old
[old]
MinProtocol = TLSv1
MaxProtocol = TLSv1
CipherString = ALL:@SECLEVEL=0
`

// oauth2Conf is for Dovecot's passdb of that name.
const oauth2Conf = `introspection_mode = post
introspection_url = {{.Introspection}}
username_attribute = email
active_attribute = active
active_value = true
`

// longestRun is the longest name of a run folder in bytes, for unix(7) allows a socket 108 and Dovecot's longest name
// below it has 43.
const longestRun = 64

// complete fills in the defaults and refuses what would break a configuration file.
func (opt Options) complete() (Options, error) {
	if len(opt.Domains) == 0 {
		opt.Domains = []string{"example.test"}
	}
	if opt.User == "" {
		opt.User = "shop@example.test"
	}
	if opt.Password == "" {
		opt.Password = "correct horse battery"
	}
	if len(opt.Mechanisms) == 0 {
		opt.Mechanisms = []string{"PLAIN", "LOGIN"}
	}
	users := maps.Clone(opt.Users)
	if users == nil {
		users = map[string]string{}
	}
	users[opt.User] = opt.Password
	opt.Users = users
	for user, password := range users {
		if _, _, ok := strings.Cut(user, "@"); !ok || strings.ContainsAny(user, " \t\r\n:/") {
			return opt, fmt.Errorf("user %q: want an address without spaces, colons and slashes", user)
		}
		// A passwd-file ends the password at a colon.
		if password == "" || strings.ContainsAny(password, ":\r\n") {
			return opt, fmt.Errorf("the password of %s is empty or holds a colon or a line break", user)
		}
	}
	for _, table := range []map[string]string{opt.Replies, opt.BounceLater} {
		if err := checkTable(table); err != nil {
			return opt, err
		}
	}
	return opt, nil
}

// checkTable refuses what a texthash table (DATABASE_README of Postfix) can't hold.
func checkTable(table map[string]string) error {
	for key, value := range table {
		if key == "" || strings.ContainsAny(key, " \t\r\n") || strings.HasPrefix(key, "#") {
			return fmt.Errorf("address %q can't stand in a Postfix table", key)
		}
		if strings.TrimSpace(value) == "" || strings.ContainsAny(value, "\r\n") {
			return fmt.Errorf("%q for %s can't stand in a Postfix table", value, key)
		}
	}
	return nil
}

// settings are what the templates show.
type settings struct {
	Run, Tree, Host                      string
	Submission, SMTPS, IMAP, IMAPS       int
	Owner, Group, Nobody                 string
	Deliver, DeliverGroup, LoginUser     string
	DeliverUID, DeliverGID               string
	Domains, Mechanisms, MainCF, Dovecot []string
	LMTP, OldTLS                         bool
	Introspection                        string
}

// prepare writes everything a start needs below s.run and fills the addresses in; it returns the tree to run.
func (s *Server) prepare(ctx context.Context, tree string, ids identities, opt Options) (string, error) {
	if len(s.run) > longestRun {
		return "", fmt.Errorf("folder %s has a name too long for the sockets in it; want at most %d bytes", s.run, longestRun)
	}
	if ids.root {
		if err := openToAll(s.run); err != nil {
			return "", err
		}
	}
	tree, err := reachable(ctx, tree, s.run, ids)
	if err != nil {
		return "", err
	}
	if err := s.makeFolders(tree, ids); err != nil {
		return "", err
	}
	if err := s.writeCertificates(opt.Certificate); err != nil {
		return "", err
	}
	ports, err := freePorts(4)
	if err != nil {
		return "", err
	}
	for i, addr := range []*string{&s.SubmissionAddr, &s.SMTPSAddr, &s.IMAPAddr, &s.IMAPSAddr} {
		*addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[i]))
	}
	set := settings{
		Run: s.run, Tree: tree, Host: hostName,
		Submission: ports[0], SMTPS: ports[1], IMAP: ports[2], IMAPS: ports[3],
		Owner: ids.owner, Group: ids.group, Nobody: ids.nobody,
		Deliver: ids.deliverName, DeliverGroup: ids.groupName, LoginUser: ids.nobody,
		DeliverUID: ids.deliver.Uid, DeliverGID: ids.deliver.Gid,
		Domains: opt.Domains, Mechanisms: opt.Mechanisms, MainCF: opt.MainCF, Dovecot: opt.Dovecot, LMTP: opt.LMTP, OldTLS: opt.OldTLS, Introspection: opt.Introspection,
	}
	if !ids.root {
		set.LoginUser = ids.deliverName
		if err := buildAsRoot(ctx, s.run); err != nil {
			return "", err
		}
	}
	return tree, s.writeConfiguration(set, ids, opt)
}

// makeFolders makes the folders; Postfix makes none itself under a master started by hand.
func (s *Server) makeFolders(tree string, ids identities) error {
	s.MailDir = filepath.Join(s.run, "mail")
	s.Log = filepath.Join(s.run, "log", "mail.log")
	for _, dir := range []string{"etc", "log", "mail", "dovecot/run", "dovecot/state", "queue/pid"} {
		if err := os.MkdirAll(filepath.Join(s.run, dir), 0o755); err != nil {
			return err
		}
	}
	for _, dir := range []string{
		"data", "queue/active", "queue/bounce", "queue/corrupt", "queue/defer", "queue/deferred", "queue/flush",
		"queue/hold", "queue/incoming", "queue/maildrop", "queue/private", "queue/public", "queue/saved", "queue/trace",
	} {
		path := filepath.Join(s.run, dir)
		if err := errors.Join(os.Mkdir(path, 0o755), ids.own(path, ids.owner)); err != nil {
			return err
		}
	}
	for _, name := range []string{"mail.log", "dovecot.log"} { // so that they are readable for the test
		if err := os.WriteFile(filepath.Join(s.run, "log", name), nil, 0o644); err != nil {
			return err
		}
	}
	link := filepath.Join(s.run, "dovecot", "run", "pr-lib-dovecot") // see fetch.sh
	return errors.Join(
		ids.own(s.MailDir, ids.deliverName),
		os.Symlink(filepath.Join(tree, "usr", "lib", "dovecot"), link),
	)
}

func (s *Server) writeCertificates(shown *tls.Certificate) error {
	certs, err := newCertificates()
	if err != nil {
		return err
	}
	if shown != nil {
		if certs.server, certs.key, err = inPEM(shown); err != nil {
			return err
		}
	}
	s.CAPEM = certs.authority
	s.CAFile = filepath.Join(s.run, "ca.pem")
	return errors.Join(
		os.WriteFile(s.CAFile, certs.authority, 0o644),
		os.WriteFile(filepath.Join(s.run, "etc", "cert.pem"), certs.server, 0o644),
		os.WriteFile(filepath.Join(s.run, "etc", "key.pem"), certs.key, 0o600),
	)
}

func (s *Server) writeConfiguration(set settings, ids identities, opt Options) error {
	bounces, mailboxes := map[string]string{}, map[string]string{}
	for address, why := range opt.BounceLater {
		bounces[address] = "error:" + why
	}
	var passwords strings.Builder
	for _, user := range slices.Sorted(maps.Keys(opt.Users)) {
		local, domain, _ := strings.Cut(user, "@")
		mailboxes[user] = domain + "/" + local + "/"
		fmt.Fprintf(&passwords, "%s:{PLAIN}%s\n", user, opt.Users[user])
	}
	usersFile := filepath.Join(s.run, "dovecot", "users")
	if err := errors.Join(
		os.WriteFile(usersFile, []byte(passwords.String()), 0o600), ids.own(usersFile, ids.deliverName),
		s.writeTable("replies", opt.Replies),
		s.writeTable("bounces", bounces),
		s.writeTable("mailboxes", mailboxes),
	); err != nil {
		return err
	}
	for name, text := range map[string]string{
		"etc/main.cf": mainTemplate, "etc/master.cf": masterTemplate, "dovecot/dovecot.conf": dovecotTemplate, "etc/openssl.cnf": opensslConf, "dovecot/oauth2.conf": oauth2Conf,
	} {
		parsed, err := template.New(name).Funcs(template.FuncMap{"join": strings.Join, "lower": strings.ToLower}).Parse(text)
		if err != nil {
			return err
		}
		var out strings.Builder
		if err := parsed.Execute(&out, set); err != nil {
			return err
		}
		if err := s.writeOld(filepath.Join(s.run, name), out.String()); err != nil {
			return err
		}
	}
	return nil
}

// writeTable writes a lookup table of Postfix.
func (s *Server) writeTable(name string, table map[string]string) error {
	var lines strings.Builder
	for _, key := range slices.Sorted(maps.Keys(table)) {
		fmt.Fprintf(&lines, "%s %s\n", key, table[key])
	}
	return s.writeOld(filepath.Join(s.run, "etc", name), lines.String())
}

// writeOld replaces a file in one step and dates it back: Postfix waits up to two seconds for a file to become a second
// old, lest it read one half written. Each date differs from the last, for that is how Postfix sees the change.
func (s *Server) writeOld(path, text string) error {
	if s.tableStamp.IsZero() {
		s.tableStamp = time.Now().Add(-24 * time.Hour)
	}
	s.tableStamp = s.tableStamp.Add(time.Second)
	next := path + ".next"
	return errors.Join(
		os.WriteFile(next, []byte(text), 0o644),
		os.Chtimes(next, s.tableStamp, s.tableStamp),
		os.Rename(next, path),
	)
}

// SetReplies replaces Options.Replies of the running server. Connections made after it returns get the new replies.
func (s *Server) SetReplies(replies map[string]string) error {
	if err := checkTable(replies); err != nil {
		return err
	}
	s.tables.Lock()
	defer s.tables.Unlock()
	return s.writeTable("replies", replies)
}
