package contacts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"postroom/post"
)

// Memory keeps a few settings; the ledger is one.
type Memory interface {
	Setting(ctx context.Context, key, fallback string) (string, error)
	SetSetting(ctx context.Context, key, value string) error
}

// memoryKey names a set of headers, whatever their case. The settings whose
// name begins with "ledger." are not shown among the user's own.
func memoryKey(header []string) string {
	sum := sha256.Sum256([]byte(post.FoldText(strings.Join(header, "\x1f"))))
	return "ledger.columns." + hex.EncodeToString(sum[:12])
}

// recall returns the mapping that was given for this header, or nothing.
func recall(ctx context.Context, m Memory, header []string) (map[string]string, error) {
	if len(header) == 0 {
		return nil, nil
	}
	text, err := m.Setting(ctx, memoryKey(header), "")
	if err != nil || text == "" {
		return nil, err
	}
	var overrides map[string]string
	if err := json.Unmarshal([]byte(text), &overrides); err != nil {
		return nil, nil //nolint:nilerr // what cannot be read is not remembered; the file is recognised as if it were new
	}
	return overrides, nil
}

func keepMapping(ctx context.Context, m Memory, header []string, overrides map[string]string) error {
	if len(header) == 0 {
		return nil
	}
	text, err := json.Marshal(overrides)
	if err != nil {
		return fmt.Errorf("keep the columns: %w", err)
	}
	return m.SetSetting(ctx, memoryKey(header), string(text))
}
