package accounts

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"

	"postroom/post"
	"postroom/storage"
)

// The columns of a sheet of accounts, by the names they may have. A sheet has an
// address in each row; the rest may be missing.
var importColumns = map[string][]string{
	"name":        {"account", "account_name", "账户", "账户名称"},
	"from_name":   {"from_name", "sender_name", "sender", "absender", "发件人", "发件人名称"},
	"host":        {"host", "server", "smtp", "smtp_host", "smtp_server", "outgoing_server", "服务器", "smtp服务器"},
	"port":        {"port", "smtp_port", "端口", "smtp端口"},
	"tls":         {"tls", "ssl", "encryption", "security", "加密"},
	"user":        {"user", "username", "user_name", "login", "benutzer", "用户名"},
	"password":    {"password", "pass", "app_password", "passwort", "kennwort", "密码", "授权码"},
	"per_minute":  {"per_minute"},
	"per_hour":    {"per_hour"},
	"per_day":     {"per_day", "daily_limit", "每日上限"},
	"connections": {"connections"},
	"weight":      {"weight", "权重"},
	"imap_host":   {"imap_host", "imap", "imap_server", "imap服务器"},
	"imap_port":   {"imap_port", "imap端口"},
	"imap_tls":    {"imap_tls"},
	"proxy":       {"proxy", "代理"},
}

func isImportColumn(name string) bool {
	for _, names := range importColumns {
		if slices.Contains(names, name) {
			return true
		}
	}
	return false
}

// IsSecretColumn reports whether what stands in a column is nothing to be shown.
func IsSecretColumn(header string) bool {
	h := strings.ToLower(strings.TrimSpace(header))
	for _, name := range importColumns["password"] {
		if strings.Contains(h, name) || strings.Contains(strings.ReplaceAll(h, " ", "_"), name) {
			return true
		}
	}
	return false
}

// ImportParams are what Import needs.
type ImportParams struct {
	Ledger  *storage.Ledger
	Secrets Secrets
	Place   post.SecretKind // where the passwords go: keyring or vault
	// Find looks for the server of an address that comes without one; nil: such
	// rows are skipped.
	Find   func(ctx context.Context, address string) (*Proposal, error)
	DryRun bool // nothing is kept, and no password asked for or stored
}

// ImportReport says what became of every row.
type ImportReport struct {
	Read, Added, Skipped int64
	Problems             []ImportProblem
	// Unused names the columns with values that no account has a place for, sorted:
	// a limit under another name would be missed by nobody until it is passed.
	Unused []string
}

// ImportProblem is why a row was not taken. It holds no value of the row but the
// address.
type ImportProblem struct {
	Row     int64
	Address string
	Reason  post.Reason
}

// Import adds an account for each row: its password goes straight into the
// keyring or the vault and is kept nowhere else, then the account is stored;
// where that fails the password is taken out again. An account that is there
// already, by its name, stays as it is. An error ends the import where it
// stands: the keyring is locked, the disk is full, or ctx ended.
func Import(ctx context.Context, p ImportParams, rows iter.Seq2[post.Recipient, error]) (r ImportReport, err error) {
	names := map[string]bool{}
	unused := map[string]bool{}
	defer func() { r.Unused = slices.Sorted(maps.Keys(unused)) }()
	all, err := p.Ledger.Accounts(ctx)
	if err != nil {
		return r, err
	}
	for i := range all {
		names[strings.ToLower(all[i].Name)] = true
	}
	for row, err := range rows {
		if err != nil {
			return r, err
		}
		if ctx.Err() != nil {
			return r, cancelled(ctx.Err())
		}
		r.Read++
		for column, value := range row.Fields {
			if value != "" && !isImportColumn(column) {
				unused[column] = true
			}
		}
		why, err := p.one(ctx, row, names)
		if err != nil {
			return r, err
		}
		if why.IsZero() {
			r.Added++
			continue
		}
		r.Skipped++
		number := int64(0)
		if _, text, ok := strings.Cut(row.Key, "#"); ok {
			number, _ = strconv.ParseInt(text, 10, 64) // 0 where there is none
		}
		r.Problems = append(r.Problems, ImportProblem{number, row.Address, why})
	}
	return r, nil
}

// one takes a row; a reason says why it was skipped.
func (p *ImportParams) one(ctx context.Context, row post.Recipient, names map[string]bool) (post.Reason, error) {
	a, secret, why := readRow(row)
	if !why.IsZero() {
		return why, nil
	}
	if names[strings.ToLower(a.Name)] {
		return post.Reason{Key: "accounts.import.exists", Args: []string{a.Name}}, nil
	}
	if a.Host == "" {
		why, err := p.find(ctx, &a)
		if err != nil || !why.IsZero() {
			return why, err
		}
	}
	switch {
	case secret == "" && a.Auth != post.AuthNone:
		return post.Reason{Key: "accounts.import.no_password"}, nil
	case secret != "" && checkSecret(secret) != nil:
		return post.Reason{Key: keyUnusable}, nil
	}
	a.Secret, a.SecretRef = p.Place, NewSecretRef()
	if err := a.Check(); err != nil {
		what := err.Error()
		var e *post.Error
		if errors.As(err, &e) && e.Message != "" {
			what = e.Message
		}
		return post.Reason{Key: "accounts.import.wrong", Args: []string{post.CleanReply(what)}}, nil
	}
	names[strings.ToLower(a.Name)] = true
	if p.DryRun {
		return post.Reason{}, nil
	}
	if err := p.Secrets.Set(ctx, a, secret); err != nil {
		return post.Reason{}, err
	}
	ctx = context.WithoutCancel(ctx) // a matter of milliseconds that must not end half way
	if _, err := p.Ledger.CreateAccount(ctx, a); err != nil {
		_ = p.Secrets.Delete(ctx, a) // the first error says more
		return post.Reason{}, err
	}
	return post.Reason{}, nil
}

func (p *ImportParams) find(ctx context.Context, a *post.Account) (post.Reason, error) {
	none := post.Reason{Key: "accounts.import.no_server"}
	if p.Find == nil {
		return none, nil
	}
	found, err := p.Find(ctx, a.Email)
	if err != nil {
		return post.Reason{}, err
	}
	if found == nil {
		return none, nil
	}
	a.Host, a.Port, a.TLS = found.Host, found.Port, found.TLS
	if a.User == "" {
		a.User = found.User
	}
	if a.Limits == (post.Limits{}) {
		a.Limits = found.Limits
	}
	return post.Reason{}, nil
}

// readRow makes the account of a row, and its password.
func readRow(row post.Recipient) (a post.Account, secret string, why post.Reason) {
	cell := func(column string) string {
		for _, name := range importColumns[column] {
			if v := row.Fields[name]; strings.TrimSpace(v) != "" {
				return v
			}
		}
		return ""
	}
	bad := ""
	number := func(column string) int {
		text := strings.TrimSpace(cell(column))
		if text == "" {
			return 0
		}
		n, err := strconv.Atoi(strings.TrimSuffix(text, ".0")) // as workbooks have it
		if err != nil || n < 0 {
			bad = column
		}
		return n
	}
	a = post.Account{
		Name: strings.TrimSpace(cell("name")), Email: row.Address, FromName: strings.TrimSpace(cell("from_name")),
		Host: strings.TrimSpace(cell("host")), Port: number("port"), Auth: post.AuthAuto, User: strings.TrimSpace(cell("user")),
		Limits:      post.Limits{PerMinute: number("per_minute"), PerHour: number("per_hour"), PerDay: number("per_day")},
		Connections: number("connections"), Weight: max(1, number("weight")),
		IMAPHost: strings.TrimSpace(cell("imap_host")), IMAPPort: number("imap_port"), Proxy: strings.TrimSpace(cell("proxy")),
	}
	if a.Name == "" {
		a.Name = row.Address
	}
	if a.FromName == "" {
		a.FromName = row.Name
	}
	a.TLS = modeOf(cell("tls"), a.Port)
	if a.Port == 0 && a.Host != "" {
		a.Port = map[post.TLS]int{post.TLSImplicit: 465, post.TLSStartTLS: 587}[a.TLS]
	}
	if a.IMAPHost != "" {
		if a.IMAPPort == 0 {
			a.IMAPPort = 993
		}
		a.IMAPTLS = post.TLSImplicit
		if a.IMAPPort == 143 || strings.EqualFold(cell("imap_tls"), "starttls") {
			a.IMAPTLS = post.TLSStartTLS
		}
	}
	switch {
	case bad != "":
		return a, "", post.Reason{Key: "accounts.import.number", Args: []string{bad}}
	case a.TLS == "":
		return a, "", post.Reason{Key: "accounts.import.tls"}
	}
	return a, cell("password"), post.Reason{}
}

// modeOf reads how a sheet says that TLS is used; where it does not, the port
// tells (RFC 8314 3.3, RFC 6409 3.1). It is never none.
func modeOf(text string, port int) post.TLS {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "starttls", "tls/starttls":
		return post.TLSStartTLS
	case "tls", "ssl", "ssl/tls", "implicit", "yes", "true", "1", "on", "是":
		if port == 587 || port == 25 || port == 2525 {
			return post.TLSStartTLS
		}
		return post.TLSImplicit
	case "":
		if port == 587 || port == 25 || port == 2525 {
			return post.TLSStartTLS
		}
		return post.TLSImplicit
	}
	return ""
}
