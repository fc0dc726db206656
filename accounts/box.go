package accounts

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strconv"

	"golang.org/x/crypto/chacha20poly1305"

	"postroom/post"
)

// A box is bytes sealed under a random key: a version (1), a nonce, and
// XChaCha20-Poly1305, which also holds whose box it is.
const boxVersion = 1

var errBox = errors.New("a box that cannot be opened")

// newBoxKey returns a key as the keyring keeps it.
func newBoxKey() (string, error) {
	b := make([]byte, chacha20poly1305.KeySize)
	if _, err := rand.Read(b); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(b), nil
}

func decodeKey(text string) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) != chacha20poly1305.KeySize {
		return nil, errBox
	}
	return b, nil
}

// boxName ties a box to its account: none opens as another's.
func boxName(a post.Account) []byte {
	return []byte("postroom account " + strconv.FormatInt(a.ID, 10) + " " + a.SecretRef)
}

func sealBox(key, name, plain []byte) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 1+aead.NonceSize())
	b[0] = boxVersion
	if _, err := rand.Read(b[1:]); err != nil {
		return nil, err
	}
	return aead.Seal(b, b[1:], plain, name), nil
}

func openBox(key, name, box []byte) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, err
	}
	if len(box) < 1+aead.NonceSize()+aead.Overhead() || box[0] != boxVersion {
		return nil, errBox
	}
	return aead.Open(nil, box[1:1+aead.NonceSize()], box[1+aead.NonceSize():], name)
}
