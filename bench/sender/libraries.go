package main

import (
	"bytes"
	"context"
	html "html/template"
	"strings"
	text "text/template"
	"time"

	"github.com/knadh/smtppool/v2"
	"github.com/wneessen/go-mail"
)

// The Go libraries merge with text/template and html/template, as programs around them do.
type templates struct {
	subject, text *text.Template
	html          *html.Template
}

// values are named in templates, so they are exported.
type values struct{ FirstName, Town, Number string }

func valuesOf(p *person) values { return values{p.firstName, p.town, p.number} }

var fields = strings.NewReplacer("{{first_name}}", "{{.FirstName}}", "{{town}}", "{{.Town}}", "{{number}}", "{{.Number}}")

func (t *task) parse() (*templates, error) {
	var p templates
	var err error
	if p.subject, err = text.New("subject").Parse(fields.Replace(t.subject)); err != nil {
		return nil, err
	}
	if p.text, err = text.New("text").Parse(fields.Replace(t.text)); err != nil {
		return nil, err
	}
	p.html, err = html.New("html").Parse(fields.Replace(t.html))
	return &p, err
}

// gomailMessage writes one message the way go-mail's documentation does.
func gomailMessage(p *templates, to *person) (*mail.Msg, error) {
	m := mail.NewMsg()
	if err := m.FromFormat("Shop", from); err != nil {
		return nil, err
	}
	if err := m.AddToFormat(to.name, to.address); err != nil {
		return nil, err
	}
	v := valuesOf(to)
	var subject strings.Builder
	if err := p.subject.Execute(&subject, v); err != nil {
		return nil, err
	}
	m.Subject(subject.String())
	if err := m.SetBodyTextTemplate(p.text, v); err != nil {
		return nil, err
	}
	err := m.AddAlternativeHTMLTemplate(p.html, v)
	return m, err
}

// gomail sends with one client per connection; send is told the client and one message.
func gomail(t *task, begin func(context.Context, *mail.Client) error, send func(context.Context, *mail.Client, *mail.Msg) error,
	end func(*mail.Client) error,
) (work, error) {
	p, err := t.parse()
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (int, error) {
		return t.share(func(take func() (*person, bool)) (sent int, err error) {
			c, err := mail.NewClient(t.host, mail.WithPort(t.port), mail.WithTLSPolicy(mail.NoTLS), mail.WithHELO("localhost"), mail.WithTimeout(time.Minute))
			if err != nil {
				return 0, err
			}
			if err := begin(ctx, c); err != nil {
				return 0, err
			}
			for to, more := take(); more; to, more = take() {
				m, err := gomailMessage(p, to)
				if err != nil {
					return sent, err
				}
				if err := send(ctx, c, m); err != nil {
					return sent, err
				}
				sent++
			}
			return sent, end(c)
		})
	}, nil
}

func gomailKeep(_ context.Context, t *task) (work, error) {
	return gomail(t,
		func(ctx context.Context, c *mail.Client) error { return c.DialWithContext(ctx) },
		func(_ context.Context, c *mail.Client, m *mail.Msg) error { return c.Send(m) },
		func(c *mail.Client) error { return c.Close() },
	)
}

func gomailDial(_ context.Context, t *task) (work, error) {
	return gomail(t,
		func(context.Context, *mail.Client) error { return nil },
		func(ctx context.Context, c *mail.Client, m *mail.Msg) error { return c.DialAndSendWithContext(ctx, m) },
		func(*mail.Client) error { return nil },
	)
}

// smtpPool sends as listmonk does with the same library. The pool is not closed: that waits, and the process ends anyway.
func smtpPool(_ context.Context, t *task) (work, error) {
	p, err := t.parse()
	if err != nil {
		return nil, err
	}
	pool, err := smtppool.New(smtppool.Opt{
		Host: t.host, Port: t.port, HelloHostname: "localhost", MaxConns: t.connections,
		PoolWaitTimeout: time.Minute, IdleTimeout: time.Minute,
	})
	if err != nil {
		return nil, err
	}
	return func(context.Context) (int, error) {
		return t.share(func(take func() (*person, bool)) (sent int, err error) {
			for to, more := take(); more; to, more = take() {
				var subject, plain, rich bytes.Buffer
				v := valuesOf(to)
				if err := p.subject.Execute(&subject, v); err != nil {
					return sent, err
				}
				if err := p.text.Execute(&plain, v); err != nil {
					return sent, err
				}
				if err := p.html.Execute(&rich, v); err != nil {
					return sent, err
				}
				err := pool.Send(smtppool.Email{
					From: "Shop <" + from + ">", To: []string{to.name + " <" + to.address + ">"},
					Subject: subject.String(), Text: plain.Bytes(), HTML: rich.Bytes(),
				})
				if err != nil {
					return sent, err
				}
				sent++
			}
			return sent, nil
		})
	}, nil
}
