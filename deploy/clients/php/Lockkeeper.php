<?php
declare(strict_types=1);

/** What the service said no to: `code` is from the closed list of deploy/problems.md. */
final class LockkeeperProblem extends RuntimeException
{
    /** @param list<array<string, mixed>> $errors each with `pointer`, `code` and `detail` */
    public function __construct(
        public readonly int $status,
        public readonly string $problem,
        string $detail,
        public readonly string $requestId,
        public readonly array $errors,
    ) {
        parent::__construct("$problem: $detail (request $requestId)", $status);
    }
}

/** A client of Lockkeeper's API. One connection, which is kept. */
final class Lockkeeper
{
    private const TRIES = 5;
    private const TIMEOUT_SECONDS = 60;
    private const RETRY_SECONDS_MAX = 30;

    private CurlHandle $curl;

    public function __construct(private readonly string $api, private readonly string $token)
    {
        $this->curl = curl_init();
    }

    public static function fromEnvironment(): self
    {
        $token = getenv('LOCKKEEPER_TOKEN') ?: throw new RuntimeException('LOCKKEEPER_TOKEN is not set');
        return new self(rtrim(getenv('LOCKKEEPER_API') ?: 'http://127.0.0.1:8400', '/'), $token);
    }

    /**
     * Has the name certified. The same again changes nothing.
     *
     * @param array<string, mixed> $wish `external_id`, `labels`, `names_with`, …
     * @return array<string, mixed> the hostname: `status`, `to_do`, `records`, `next_attempt_at`, …
     */
    public function putHostname(string $name, array $wish = [], int $waitSeconds = 0): array
    {
        return $this->call('PUT', '/v1/hostnames/' . rawurlencode($name), $wish, $waitSeconds);
    }

    /** @return array<string, mixed> */
    public function hostname(string $name): array
    {
        return $this->call('GET', '/v1/hostnames/' . rawurlencode($name));
    }

    /** Has it looked at now, and waits for what is found. @return array<string, mixed> */
    public function check(string $name, int $waitSeconds = 10): array
    {
        return $this->call('POST', '/v1/hostnames/' . rawurlencode($name) . '/check', null, $waitSeconds);
    }

    /** Gives the name up; one that is not there is given up already. */
    public function deleteHostname(string $name): void
    {
        try {
            $this->call('DELETE', '/v1/hostnames/' . rawurlencode($name));
        } catch (LockkeeperProblem $problem) {
            if ($problem->problem !== 'not-found') {
                throw $problem;
            }
        }
    }

    /** Leaf, chain and key. @return array<string, mixed> */
    public function bundle(string $certificateId): array
    {
        return $this->call('GET', '/v1/certificates/' . rawurlencode($certificateId) . '/bundle?format=json');
    }

    /**
     * All rows of a list, page by page.
     *
     * @param array<string, string> $filters
     * @return Generator<int, array<string, mixed>>
     */
    public function each(string $path, array $filters = []): Generator
    {
        $cursor = null;
        do {
            $query = http_build_query($filters + ($cursor === null ? [] : ['cursor' => $cursor]));
            $page = $this->call('GET', $query === '' ? $path : "$path?$query");
            yield from $page['data'];
            $cursor = $page['next_cursor'] ?? null;
        } while ($cursor !== null);
    }

    /**
     * One request. Where nobody can know whether it was carried out, it is sent again under the same name.
     *
     * @param array<string, mixed>|null $body
     * @return array<string, mixed>
     */
    public function call(string $method, string $path, ?array $body = null, int $waitSeconds = 0): array
    {
        $headers = ["Authorization: Bearer {$this->token}", 'Accept: application/json', 'Expect:'];
        if ($method !== 'GET') {
            $headers[] = 'Idempotency-Key: ' . bin2hex(random_bytes(16));
        }
        if ($waitSeconds > 0) {
            $headers[] = "Prefer: wait=$waitSeconds";
        }
        if ($body !== null) {
            $headers[] = 'Content-Type: application/json';
        }
        for ($try = 1; ; $try++) {
            $retryAfter = null;
            curl_reset($this->curl);
            curl_setopt_array($this->curl, [
                CURLOPT_URL => $this->api . $path,
                CURLOPT_CUSTOMREQUEST => $method,
                CURLOPT_HTTPHEADER => $headers,
                CURLOPT_RETURNTRANSFER => true,
                CURLOPT_TIMEOUT => self::TIMEOUT_SECONDS + $waitSeconds,
                CURLOPT_FOLLOWLOCATION => false,
                CURLOPT_HEADERFUNCTION => static function ($_, string $line) use (&$retryAfter): int {
                    if (preg_match('/^retry-after:\s*(\d+)/i', $line, $found)) {
                        $retryAfter = (int) $found[1];
                    }
                    return strlen($line);
                },
            ]);
            if ($body !== null) {
                curl_setopt($this->curl, CURLOPT_POSTFIELDS, json_encode((object) $body, JSON_THROW_ON_ERROR));
            }
            $answer = curl_exec($this->curl);
            $status = (int) curl_getinfo($this->curl, CURLINFO_RESPONSE_CODE);
            $again = $answer === false || $status >= 500 || $retryAfter !== null && $status >= 400;
            if ($again && $try < self::TRIES) {
                sleep(min($retryAfter ?? 2 ** ($try - 1), self::RETRY_SECONDS_MAX));
                continue;
            }
            if ($answer === false) {
                throw new RuntimeException("no answer from {$this->api}: " . curl_error($this->curl));
            }
            $document = $answer === '' ? [] : json_decode($answer, true, 64, JSON_THROW_ON_ERROR);
            if ($status >= 400) {
                throw new LockkeeperProblem(
                    $status,
                    $document['code'] ?? 'unknown',
                    $document['detail'] ?? '',
                    $document['request_id'] ?? '',
                    $document['errors'] ?? [],
                );
            }
            return $document;
        }
    }
}
