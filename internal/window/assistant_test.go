//go:build linux && !race

package window_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postroom/internal/testkit/island"
	"postroom/internal/testkit/smtpscript"
)

// TestAssistant goes from "type your address" to a first message to oneself: the
// provider is found by its own autoconfig page, the password goes into a new
// vault because there is no keyring, and the server checks it.
func TestAssistant(t *testing.T) {
	const names = "127.0.0.1 autoconfig.brauhaus.test smtp.brauhaus.test\n"
	if !island.Run(t, names, programVar+"="+program) {
		return
	}
	const (
		me       = "hello@brauhaus.test"
		password = "geheim-4711"
		phrase   = "drei Worte reichen aus"
	)
	server := smtpscript.Start(t, smtpscript.Config{
		Mode: smtpscript.ImplicitTLS, Hosts: []string{"smtp.brauhaus.test"}, User: me, Password: password,
	})
	_, port := server.HostPort()
	page := fmt.Sprintf(`<clientConfig version="1.1"><emailProvider id="brauhaus.test"><displayName>Brauhaus Mail</displayName>
<outgoingServer type="smtp"><hostname>smtp.brauhaus.test</hostname><port>%d</port><socketType>SSL</socketType>
<username>%%EMAILADDRESS%%</username><authentication>password-cleartext</authentication></outgoingServer></emailProvider></clientConfig>`, port)
	authority, asked := serveConfig(t, "autoconfig.brauhaus.test", page)

	d := newDesk(t, 1280, 800, false)
	trust := filepath.Join(d.home, "trust.pem")
	if err := writeFile(trust, string(authority)+string(server.CAPEM())); err != nil {
		t.Fatal(err)
	}
	d.more = []string{"SSL_CERT_FILE=" + trust}
	w := d.open(filepath.Join(d.home, "data"))

	step(t, "type the address")
	w.click("home.add_account")
	w.at("accounts")
	w.until("the cursor in the address", func(p *picture) bool {
		e, ok := p.named("accounts.form.email")
		return ok && e.Focused
	})
	w.write("accounts.form.email", me)
	w.key("Return")
	w.says("smtp.brauhaus.test:" + fmt.Sprint(port))
	w.holds("accounts.form.host", "smtp.brauhaus.test")
	w.picked("found")
	if n := len(asked); n == 0 {
		t.Error("the provider's page was not asked")
	}
	if server.Stats().SignIns+server.Stats().SignInFailures != 0 {
		t.Error("somebody signed in before the user has seen the server")
	}

	step(t, "the password, into a vault")
	w.fill("accounts.form.password", password)
	w.choose("accounts.form.place", "in the vault file")
	w.click("accounts.form.save")
	w.until("the question for a passphrase", func(p *picture) bool { return p.Layers == 2 && p.says("Make a password vault") })
	w.fill("accounts.vault.passphrase", phrase)
	w.fill("accounts.vault.again", phrase)
	w.picked("vault")
	w.key("Return")
	w.until("the account in the list", func(p *picture) bool {
		_, ok := p.named("accounts.test")
		return ok && p.says(me) && p.Layers == 1
	})
	w.click("accounts.test")
	w.says("Everything works: this account can send.")
	w.picked("tested")

	step(t, "a first message to oneself")
	w.key("ctrl+2")
	w.at("mailings")
	w.click("mailings.new")
	w.until("the composer", func(p *picture) bool {
		e, ok := p.named("compose.from")
		return ok && strings.Contains(e.Text, me)
	})
	w.fill("compose.typed", me)
	w.fill("compose.subject", "Hello myself")
	w.focus("compose.body")
	w.clipboard("The first one.\n")
	w.key("ctrl+v")
	w.says("1 of 1")
	w.click("compose.send")
	w.until("the question", func(p *picture) bool { return p.Layers == 2 && p.says("1 person") })
	w.key("Return")
	w.until("it is taken", func(p *picture) bool { return server.Taken()[me] == 1 && p.says("1 accepted by your provider") })
	w.picked("sent")
	if data := w.log(); strings.Contains(data, password) || strings.Contains(data, phrase) {
		t.Error("the log holds a secret")
	}
	w.terminate()

	step(t, "the next day: the vault is asked for, and a test sends a message to oneself")
	w = d.open(filepath.Join(d.home, "data"))
	w.until("the question for the passphrase", func(p *picture) bool { return p.Layers == 2 && p.says("Without its passphrase they cannot send") })
	w.picked("vault-asked")
	w.fill("accounts.vault.passphrase", phrase)
	w.key("Return")
	w.until("the accounts, once the vault is open", func(p *picture) bool {
		if p.Layers == 1 && p.Front != "accounts" { // keys do nothing below a dialog, and opening takes its time
			w.key("ctrl+6")
		}
		return p.Layers == 1 && p.Front == "accounts"
	})
	w.says("ready") // until then the panel says why it is not, and what is below that moves
	w.click("accounts.test.send")
	w.says("The message to yourself was sent.")
	w.picked("tested-by-message")
	if n := server.Taken()[me]; n != 2 {
		t.Errorf("%d messages to oneself", n)
	}
	w.terminate()
}

// serveConfig serves a page at host's usual port, under an authority of its own.
// The channel gets a value for each time it was asked.
func serveConfig(t *testing.T, host, page string) (authority []byte, asked chan struct{}) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:443") // of the island
	if err != nil {
		t.Fatal(err)
	}
	asked = make(chan struct{}, 100)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != host || r.URL.Path != "/mail/config-v1.1.xml" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		asked <- struct{}{}
		_, _ = w.Write([]byte(page))
	})}
	secure := tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: []string{"http/1.1"}})
	go func() { _ = s.Serve(secure) }()
	t.Cleanup(func() { _ = s.Close() })
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), asked
}
