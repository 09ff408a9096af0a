package Cpanel::SSL::Auto::Provider::Lockkeeper;

# cPanel: an AutoSSL provider. Copy it to /var/cpanel/perl/Cpanel/SSL/Auto/Provider/Lockkeeper.pm and Lockkeeper.pm to
# /var/cpanel/perl/, put LOCKKEEPER_API and LOCKKEEPER_TOKEN into the file that CONFIG names, and choose it:
#
#     whmapi1 set_autossl_provider provider=Lockkeeper
#
# AutoSSL asks for certificates of virtual hosts and comes back for those that were not ready. So nothing is waited for
# here: each name is put, and those whose certificate is there are handed over.

use strict;
use warnings;

use parent qw(Cpanel::SSL::Auto::Provider);

use Lockkeeper ();

use constant CONFIG             => '/etc/lockkeeper/cpanel.conf';
use constant DISPLAY_NAME       => 'Lockkeeper';
use constant DAYS_TO_REPLACE    => 15;
use constant MAX_DOMAINS_PER_CERTIFICATE => 100;

# The service checks each name as the CA will, and says what is wrong: cPanel need not do it before.
use constant HTTP_DCV_MAX_REDIRECTS => 10;
use constant SPECS => {};
use constant PROPERTIES => {};

# For a user: virtual hosts and their names. Calls back with what is there.
#
#     $provider->renew_ssl(username => 'alice', vhosts => { 'shop.example' => ['shop.example', 'www.shop.example'] },
#         installer => sub { my ($vhost, $bundle) = @_; … }, logger => sub { my ($severity, $text) = @_; … });
sub renew_ssl {
    my ($self, %args) = @_;
    my $service = $self->_service;
    my $installed = 0;
    for my $vhost (sort keys %{ $args{vhosts} }) {
        my ($first, @others) = @{ $args{vhosts}{$vhost} };
        my $wish = {
            external_id => "cpanel:$args{username}:$vhost",
            labels      => { user => $args{username} },
            (@others ? (names_with => \@others) : ()),
        };
        my $done = eval {
            my $hostname = $service->put_hostname($first, $wish);
            if ($hostname->{status} eq 'active' && $hostname->{certificate_id}) {
                $args{installer}->($vhost, $service->bundle($hostname->{certificate_id}));
                $installed++;
            }
            else {
                my $to_do = $hostname->{to_do} || 'nothing is to be done; AutoSSL will ask again';
                $args{logger}->('info', "$vhost: $hostname->{status}: $to_do");
            }
            1;
        };
        next if $done;
        my $text = ref $@ ? "$@->{code}: $@->{detail}" : $@;
        $args{logger}->('error', "$vhost: $text");
    }
    return $installed;
}

sub _service {
    my ($self) = @_;
    return $self->{service} ||= do {
        local %ENV = (%ENV, $self->_settings);
        Lockkeeper->from_environment;
    };
}

# NAME=value, one a line. Nobody but root may read it, since the key stands in it.
sub _settings {
    my ($self) = @_;
    my $path = $ENV{LOCKKEEPER_CPANEL_CONFIG} || CONFIG;
    open my $file, '<', $path or return;
    my %settings = map { /\A(LOCKKEEPER_[A-Z]+)=(.*?)\s*\z/ ? ($1 => $2) : () } <$file>;
    return %settings;
}

1;
