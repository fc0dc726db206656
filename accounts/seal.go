package accounts

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"os"
	"runtime"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"
)

// The file of a vault, version 1. Numbers are big-endian.
//
//	 8 bytes  "PSTRVLT1"
//	 4, 4, 1  Argon2id's passes, memory in KiB, lanes (RFC 9106 3.1)
//	16        its salt
//	24        the nonce
//	rest      XChaCha20-Poly1305 of the contents as JSON; all before it is
//	          authenticated along with it
//	32        SHA-256 of all before it, which tells damage from a wrong
//	          passphrase; what keeps others from changing it is the AEAD
const (
	vaultMagic  = "PSTRVLT1"
	saltSize    = 16
	headerSize  = len(vaultMagic) + 4 + 4 + 1 + saltSize + chacha20poly1305.NonceSizeX
	maxVault    = 16 << 20 // bytes of the whole file
	maxMemory   = 1 << 20  // KiB that a file may ask of Argon2id
	maxPasses   = 64
	maxLanes    = 64
	vaultKeyLen = chacha20poly1305.KeySize
)

// cost is what each guess of a passphrase takes.
type cost struct {
	passes, memory uint32 // memory in KiB
	lanes          uint8
}

// usualCost is the second recommendation of RFC 9106 4, for computers with
// little memory: 64 MiB.
var usualCost = cost{passes: 3, memory: 64 << 10, lanes: 4}

// contents are the secrets by their references.
type contents map[string]string

// vaultKey is a key with what it was made from.
type vaultKey struct {
	cost cost
	salt [saltSize]byte
	aead cipher.AEAD
}

func newVaultKey(passphrase string, c cost) (*vaultKey, error) {
	k := &vaultKey{cost: c}
	if _, err := rand.Read(k.salt[:]); err != nil {
		return nil, err
	}
	return k, k.derive(passphrase)
}

func (k *vaultKey) derive(passphrase string) (err error) {
	raw := argon2.IDKey([]byte(passphrase), k.salt[:], k.cost.passes, k.cost.memory, k.cost.lanes, vaultKeyLen)
	k.aead, err = chacha20poly1305.NewX(raw)
	clear(raw)
	return err
}

// seal makes a whole file; each has a nonce of its own.
func seal(k *vaultKey, all contents) ([]byte, error) {
	plain, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	b := []byte(vaultMagic)
	b = binary.BigEndian.AppendUint32(b, k.cost.passes)
	b = binary.BigEndian.AppendUint32(b, k.cost.memory)
	b = append(append(b, k.cost.lanes), k.salt[:]...)
	nonce := make([]byte, chacha20poly1305.NonceSizeX)
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	b = append(b, nonce...)
	b = k.aead.Seal(b, nonce, plain, b)
	clear(plain)
	sum := sha256.Sum256(b)
	if b = append(b, sum[:]...); len(b) > maxVault {
		return nil, errTooLarge
	}
	return b, nil
}

// sealed is a whole file that is not open.
type sealed struct {
	cost   cost
	salt   [saltSize]byte
	header []byte
	nonce  []byte
	box    []byte
}

// parseSealed reads a file's form. What does not have it is damaged; so is what
// asks for more memory or time than any of ours does.
func parseSealed(b []byte) (*sealed, error) {
	if len(b) < headerSize+chacha20poly1305.Overhead+sha256.Size || !bytes.HasPrefix(b, []byte(vaultMagic)) {
		return nil, errVaultDamaged()
	}
	body, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if want := sha256.Sum256(body); !bytes.Equal(want[:], sum) {
		return nil, errVaultDamaged()
	}
	s := &sealed{header: body[:headerSize], nonce: body[headerSize-chacha20poly1305.NonceSizeX : headerSize], box: body[headerSize:]}
	numbers := body[len(vaultMagic):]
	s.cost = cost{binary.BigEndian.Uint32(numbers), binary.BigEndian.Uint32(numbers[4:]), numbers[8]}
	copy(s.salt[:], numbers[9:])
	c := s.cost
	if c.passes < 1 || c.passes > maxPasses || c.memory > maxMemory || c.lanes < 1 || c.lanes > maxLanes {
		return nil, errVaultDamaged()
	}
	return s, nil
}

// key makes the key that a passphrase has for this file.
func (s *sealed) key(passphrase string) (*vaultKey, error) {
	k := &vaultKey{cost: s.cost, salt: s.salt}
	if err := k.derive(passphrase); err != nil {
		return nil, vaultFailed(err)
	}
	return k, nil
}

// under reports whether the file was written with k, or one made alike.
func (s *sealed) under(k *vaultKey) bool { return s.salt == k.salt && s.cost == k.cost }

func (s *sealed) open(k *vaultKey) (contents, error) {
	plain, err := k.aead.Open(nil, s.nonce, s.box, s.header)
	if err != nil {
		return nil, err
	}
	all := contents{}
	err = json.Unmarshal(plain, &all)
	clear(plain)
	return all, err
}

var errTooLarge = errors.New("the vault is larger than it may be")

func readVault(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxVault+1))
	if err == nil && len(b) > maxVault {
		err = errTooLarge
	}
	return b, err
}

// syncFolder makes a rename in a folder durable. Windows has no such thing: there
// the file system's journal does it.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
