#!/bin/sh
# Pins each image that is fetched to the digest that its tag has now: `sh deploy/pin-images.sh`. It needs Docker with Buildx, and a
# network. What was pinned before is pinned again; Dependabot moves tag and digest together afterwards.
set -eu
cd "$(dirname "$0")/.."
line='^(FROM |COPY --from=| *image: )'
pin='(@sha256:[0-9a-f]{64})?'

for file in Dockerfile* compose*.yaml*; do
    # Names with a tag; `local` and `dev` are built here, and a stage of the Dockerfile has none.
    images=$(sed -nE "s#$line([^ @:]+:[^ @]+)$pin( .*)?\$#\\2#p" "$file" | grep -vE ':(local|dev)$' | sort -u) || continue
    for image in $images; do
        told=$(docker buildx imagetools inspect "$image")
        digest=$(echo "$told" | awk '/^Digest:/ { print $2; exit }')
        echo "$digest" | grep -qxE 'sha256:[0-9a-f]{64}' || { echo "$image: no digest, but: $told" >&2; exit 1; }
        pinned=$(sed -E "s#$line$image$pin( .*)?\$#\\1$image@$digest\\3#" "$file")
        printf '%s\n' "$pinned" > "$file"
        echo "$file: $image@$digest"
    done
done
