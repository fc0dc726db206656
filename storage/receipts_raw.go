package storage

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"io"

	"postroom/post"
)

// packedMark begins a message that is kept compressed; behind it stand the size
// of the whole message, as a varint, and the deflated bytes. No message begins so,
// and one that an older version kept as it came is still read as such.
const packedMark = "\x00PR\x01"

// packExcerpt compresses the message that receipts come of, up to the bound.
func packExcerpt(in *Incoming) ([]byte, error) {
	if len(in.Says) == 0 || len(in.Says[0].Excerpt) == 0 {
		return nil, nil
	}
	raw := in.Says[0].Excerpt
	size := max(in.Says[0].Size, int64(len(raw)))
	var b bytes.Buffer
	b.WriteString(packedMark)
	b.Write(binary.AppendUvarint(nil, uint64(size))) // at least a length
	w, err := flate.NewWriter(&b, flate.DefaultCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(raw[:min(len(raw), post.MaxExcerpt)]); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// unpackExcerpt returns a kept message, and the size of the whole where that is
// known. What is damaged is returned as it lies there.
func unpackExcerpt(kept []byte) (raw []byte, size int64) {
	packed, ok := bytes.CutPrefix(kept, []byte(packedMark))
	if !ok {
		return kept, 0
	}
	n, used := binary.Uvarint(packed)
	if used <= 0 || n > 1<<62 {
		return kept, 0
	}
	raw, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed[used:])), post.MaxExcerpt))
	if err != nil {
		return kept, 0
	}
	return raw, int64(n) // below 1<<62
}
