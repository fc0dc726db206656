package smtpscript

import (
	"crypto/sha256"
	"crypto/tls"
	"strings"

	"github.com/xdg-go/scram"
)

// scram is the server's side of RFC 5802 and RFC 7677 by a library that the
// client does not use; with -PLUS it insists on the channel binding of its own
// TLS connection: tls-exporter (RFC 9266) from TLS 1.3 on, tls-unique (RFC 5929)
// before, or with Config.EndPoint its own certificate.
func (c *session) scram(mechanism string, initial [][]byte) (bool, error) {
	base, plus := strings.CutSuffix(mechanism, "-PLUS")
	hash := scram.SHA256
	if base == "SCRAM-SHA-1" {
		hash = scram.SHA1
	}
	user, password := c.srv.cfg.User, c.srv.cfg.Password
	client, err := hash.NewClient(user, password, "")
	if err != nil {
		return false, nil
	}
	const turns = 4096
	stored, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: "some salt of ours", Iters: turns})
	if err != nil {
		return false, nil
	}
	server, err := hash.NewServer(func(name string) (scram.StoredCredentials, error) {
		if name != user {
			return scram.StoredCredentials{}, errNobody
		}
		return stored, nil
	})
	if err != nil {
		return false, nil
	}
	talk := server.NewConversation()
	if plus {
		binding, ok := c.binding()
		if !ok {
			return false, nil
		}
		talk = server.NewConversationWithChannelBindingRequired(binding)
	}
	var said string
	if len(initial) > 0 {
		said = decode(initial[0])
	} else if said, err = c.challenge(""); err != nil {
		return false, err
	}
	for !talk.Done() {
		challenge, refused := talk.Step(said)
		if refused != nil && !strings.HasPrefix(challenge, "e=") {
			return false, nil
		}
		if said, err = c.challenge(challenge); err != nil || refused != nil {
			return false, err
		}
	}
	return talk.Valid(), nil
}

type nobody struct{}

func (nobody) Error() string { return "nobody of that name" }

var errNobody nobody

// binding is the connection's channel; with Config.OtherChannel that of somebody
// in between.
func (c *session) binding() (scram.ChannelBinding, bool) {
	conn, ok := c.conn.(*tls.Conn)
	if !ok {
		return scram.ChannelBinding{}, false
	}
	state := conn.ConnectionState()
	b := scram.ChannelBinding{Type: scram.ChannelBindingTLSUnique, Data: state.TLSUnique}
	if state.Version >= tls.VersionTLS13 {
		var err error
		if b, err = scram.NewTLSExporterBinding(&state); err != nil {
			return b, false
		}
	}
	if c.srv.cfg.EndPoint { // of our certificates, which are all signed with SHA-256
		sum := sha256.Sum256(c.srv.leaf)
		b = scram.ChannelBinding{Type: scram.ChannelBindingTLSServerEndpoint, Data: sum[:]}
	}
	if c.srv.cfg.OtherChannel && len(b.Data) > 0 {
		b.Data = append([]byte{b.Data[0] ^ 1}, b.Data[1:]...)
	}
	return b, len(b.Data) > 1
}
