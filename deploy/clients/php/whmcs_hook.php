<?php
declare(strict_types=1);

/**
 * WHMCS: copy this file and Lockkeeper.php to includes/hooks/. Names follow products: a new one is put, one that is
 * terminated is given up. WHMCS calls hooks while somebody waits, so nothing is waited for here, and nothing that goes
 * wrong stops WHMCS: it goes to the activity log, and the next event of the product tries again.
 */

require_once __DIR__ . '/Lockkeeper.php';

/** @param callable(Lockkeeper, string): void $act */
function lockkeeper_for(array $vars, callable $act): void
{
    $name = strtolower(trim((string) ($vars['params']['domain'] ?? $vars['domain'] ?? '')));
    if ($name === '') {
        return;
    }
    try {
        $act(Lockkeeper::fromEnvironment(), $name);
    } catch (Throwable $failed) {
        logActivity("Lockkeeper: $name: " . $failed->getMessage());
    }
}

/** @return array<string, mixed> */
function lockkeeper_wish(array $vars, string $name): array
{
    $params = $vars['params'] ?? $vars;
    $wish = ['labels' => array_filter(['server' => (string) ($params['serverhostname'] ?? '')])];
    if (isset($params['serviceid'])) {
        $wish['external_id'] = 'whmcs:' . $params['serviceid'];
    }
    if (!str_starts_with($name, 'www.')) {
        $wish['names_with'] = ["www.$name"];
    }
    return array_filter($wish);
}

foreach (['AfterModuleCreate', 'AfterModuleUnsuspend', 'AfterModuleChangePackage'] as $event) {
    add_hook($event, 10, static function (array $vars): void {
        lockkeeper_for($vars, static function (Lockkeeper $service, string $name) use ($vars): void {
            $service->putHostname($name, lockkeeper_wish($vars, $name));
        });
    });
}

add_hook('AfterModuleTerminate', 10, static function (array $vars): void {
    lockkeeper_for($vars, static function (Lockkeeper $service, string $name): void {
        $service->deleteHostname($name);
    });
});
