package compose

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"

	"github.com/smallstep/pkcs7"

	"postroom/post"
)

// Certificate signs messages so that programs show from whom they are (S/MIME,
// RFC 8551): multipart/signed, over the rendered bytes. The signature has no
// signed attributes, so no time of its own: with an RSA key (PKCS #1 v1.5) a
// message that is rendered again is signed to the same bytes.
type Certificate struct {
	Key   *rsa.PrivateKey
	Chain []*x509.Certificate // its own first
}

// wrap puts the message that is made of segs, which end in a line's end, into a
// multipart/signed one with its signature.
func (c *Certificate) wrap(segs [][]byte, seed uint64) ([]byte, error) {
	raw := bytes.Join(segs, nil)
	at := bytes.Index(raw, []byte("\r\n\r\n"))
	if at < 0 || len(c.Chain) == 0 {
		return nil, post.Errorf(post.KindInternal, "sign the message", "the message has no header")
	}
	outer, inner := splitFields(raw[:at+2])
	content := append(append(inner, '\r', '\n'), raw[at+4:]...)
	sig, err := c.signature(content)
	if err != nil {
		return nil, &post.Error{Kind: post.KindInternal, Op: "sign the message", Message: "the certificate could not be used", Err: err}
	}
	b := boundary('s', seed)
	out := make([]byte, 0, len(raw)+len(sig)*2+1000)
	out = append(out, outer...)
	out = append(out, "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\";\r\n micalg=sha-256;\r\n boundary=\""...)
	out = append(append(out, b[:]...), "\"\r\n\r\n--"...)
	out = append(append(out, b[:]...), "\r\n"...)
	out = append(append(out, content...), "\r\n--"...)
	out = append(append(out, b[:]...), "\r\nContent-Type: application/pkcs7-signature; name=\"smime.p7s\"\r\nContent-Transfer-Encoding: base64\r\n"+
		"Content-Disposition: attachment; filename=\"smime.p7s\"\r\n\r\n"...)
	for text := base64.StdEncoding.EncodeToString(sig); text != ""; {
		n := min(76, len(text))
		out = append(append(out, text[:n]...), "\r\n"...)
		text = text[n:]
	}
	return append(append(append(out, "--"...), b[:]...), "--\r\n"...), nil
}

// signature signs content, which is left out of it.
func (c *Certificate) signature(content []byte) ([]byte, error) {
	sd, err := pkcs7.NewSignedData(content)
	if err != nil {
		return nil, err
	}
	sd.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := sd.SignWithoutAttr(c.Chain[0], c.Key, pkcs7.SignerInfoConfig{}); err != nil {
		return nil, err
	}
	for _, parent := range c.Chain[1:] {
		sd.AddCertificate(parent)
	}
	sd.Detach()
	return sd.Finish()
}

// splitFields parts a header into the fields of the message and those of its
// content.
func splitFields(head []byte) (outer, inner []byte) {
	to := &outer
	for line := range bytes.Lines(head) {
		if line[0] != ' ' && line[0] != '\t' {
			to = &outer
			if len(line) > 8 && bytes.EqualFold(line[:8], []byte("content-")) {
				to = &inner
			}
		}
		*to = append(*to, line...)
	}
	return outer, inner
}
