### What the shop says in English. Both catalogues have the same keys; `language::catalogue` tests that.

## Every page

shop = Jumun shop
skip = Skip to the content
account = Your account
my-orders = My orders
sign-in = Sign in
sign-out = Sign out
languages = Languages
language-name = English
promise = An order is shown as paid once its payment is confirmed. All prices are in won.
moment = { $day } { $month ->
        [1] January
        [2] February
        [3] March
        [4] April
        [5] May
        [6] June
        [7] July
        [8] August
        [9] September
        [10] October
        [11] November
       *[12] December
    } { $year }, { $time } KST
back-to-shop = Back to the shop
continue-shopping = Continue shopping

## Products

products = Products
no-products = Nothing is on sale yet.
no-such-product = There is no such product
no-such-product-text = It is no longer on sale, or the address is wrong.
stock-left = { $count } left
sold-out = Sold out
sold-out-text = You cannot buy it right now. Once it is back, you can buy it on this page.

## Checkout

quantity = Quantity
fewer = One less
more = One more
check-quantity = You can order from 1 to { $most }.
email = E-mail (optional)
email-hint = Where the payment service sends the receipt.
check-email = Please check the e-mail address. It looks like name@example.com.
payment-method = Payment method
needs-script = Please switch JavaScript on to pay.
summary = Your order
total = Total
pay = Pay
pay-now = Pay for this order
not-started = The payment could not be started. Nothing was charged. Please try again in a moment.
closed = You closed the payment window. Nothing was charged.
agree-first = Please agree to the required terms.
choose-first = Please choose a payment method.
card-first = Please choose your card.
price-changed = The price has changed. Please reload the page to see it. Nothing was charged.
price-now = The price has changed to { $price }. Please check the total and press again. Nothing was charged.
too-many-open = You have too many unpaid orders. Please pay or cancel one of them under “My orders”.
too-many-pieces = That is more than one order may hold. Please order fewer.
check-fields = Please check quantity and e-mail.

## How an order stands, and what to do next

paid = Payment received
paid-text = Thank you for your order. You can always find it under “My orders”.
checking = We are checking your payment
checking-text = Please do not pay again. You may close this page. The result will appear here shortly.
awaiting = Waiting for your transfer
awaiting-text = Please transfer to this account in time. Your order is complete once the money has arrived.
deposit-gone = Your bank took the transfer back
deposit-gone-text = To keep the order, please transfer to this account again in time.
deposit-late = The time for your transfer is over
deposit-late-text = We are checking whether it arrived. Please do not transfer now. If you already have, there is nothing to do but wait.
deposit-over = The order was canceled because no transfer came
deposit-over-text = Nothing was charged. Money that arrives late is refunded.
unpaid = This order is not paid yet
unpaid-text = You can pay until { $until }.
part-refunded = Part of this order was refunded
part-refunded-text = { $amount } went back to you.
refunding = Your refund is under way
refunding-text = There is nothing for you to do. This page will show when it is done.
refunded = This order was refunded
refunded-text = All that you paid went back. Your card company or bank may take a few days to show it.
canceled = This order was canceled
canceled-text = Nothing was charged.
overdue = The time to pay this order is over
overdue-text = Nothing was charged. Please order again.
given-back = The order had ended before you paid
given-back-text = Whatever you paid is refunded. There is nothing for you to do.
order = Order
amount = Amount
ordered-at = Ordered
order-number = Order number
paid-by = Paid by
receipt = Receipt
bank = Bank
bank-account = Account number
copy = Copy
copied = Copied
deposit-amount = Amount to transfer
due = Transfer by
cancel-order = Cancel the order
order-again = Order again
show-order = Show the order
other-browser = You find everything else under “My orders” in the browser that you ordered with.

## My orders

no-orders = You have not ordered anything yet.
older-orders = Older orders
and-others = { $name } and { $others } more
status-pending = Not paid
status-confirming = Checking
status-awaiting-deposit = Waiting for transfer
status-paid = Paid
status-part-refunded = Partly refunded
status-refunding = Refunding
status-refunded = Refunded
status-expired = Expired
status-canceled = Canceled
refunds = Refunds
refund-requested = Under way
refund-done = Refunded
refund-failed = Not refunded
past = What happened so far
past-placed = You ordered
past-confirming = We began to check your payment
past-declined = The payment was declined
past-awaiting = An account for your transfer was opened
past-deposit-gone = The bank took the transfer back
past-paid = The payment was received
past-expired = The time to pay was over
past-canceled = The order was canceled
past-refund-begun = A refund of { $amount } began
past-refund-done = { $amount } went back to you

## When it did not work

aborted = The payment was interrupted
aborted-text = Nothing was charged. Please try again, or choose another way to pay.
declined = The payment was declined
refused-limit = It is over your limit or your balance. Nothing was charged. Please try another way to pay.
refused-count = You have paid as often as you may in one day. Nothing was charged. Please try another way to pay.
refused-small = The amount is too small for this way to pay. Nothing was charged. Please try another way to pay.
refused-stopped = This card was stopped or reported lost. Nothing was charged. Please try another card.
refused-details = Card number or expiry date do not match. Nothing was charged. Please check them and try again.
refused-password = We could not make sure that it was you. Nothing was charged. Please try again, or choose another way to pay.
refused-installments = This card does not offer that many installments. Nothing was charged. Please try again with others.
refused-points = This card does not allow paying with points. Nothing was charged. Please try again without them.
refused-account = Your account cannot be used. Nothing was charged. Please register it again, or choose another way to pay.
refused-hours = This way to pay is not available right now. Nothing was charged. Please choose another one.
refused-late = The time to pay was over. Nothing was charged. Please try again.
refused-company = The card company refused. Nothing was charged. Please try another way to pay.
refused-other = Nothing was charged. Please try another way to pay.
sold-out-late = It sold out just before your payment
sold-out-late-text = Nothing was charged. Once it is back, you can pay for this order as it is.
mismatch = The amount differs from your order's
mismatch-text = Nothing was charged. Please pay the amount of your order.
wrong-state = This payment cannot be taken
wrong-state-text = This attempt charged nothing. Please look at how the order stands now.
failed = The payment could not be completed
failed-text = This attempt charged nothing. Please try again in a moment.
given-up = You canceled the payment
given-up-text = Nothing was charged. Your order is kept, and you can still pay for it.
no-such-order = This browser does not know that order
no-such-order-text = Please look under “My orders” in the browser that you ordered with. If you have paid, please do not pay again.

## What the provider calls things

method-card = Card
method-virtual-account = Virtual account
method-easy-pay = Easy pay
method-phone = Mobile phone
method-transfer = Bank transfer
method-voucher = Gift voucher
bank-kdb = Korea Development Bank
bank-ibk = IBK
bank-kookmin = KB Kookmin Bank
bank-suhyup = Suhyup Bank
bank-nonghyup = NH Nonghyup Bank
bank-local-nonghyup = Local Nonghyup
bank-woori = Woori Bank
bank-sc = SC First Bank
bank-citi = Citibank Korea
bank-im = iM Bank
bank-busan = Busan Bank
bank-gwangju = Gwangju Bank
bank-jeju = Jeju Bank
bank-jeonbuk = Jeonbuk Bank
bank-kyongnam = Kyongnam Bank
bank-saemaul = MG Saemaul
bank-shinhyup = Shinhyup
bank-savings = Savings bank
bank-hsbc = HSBC
bank-sanlim = Sanlim
bank-post = Korea Post
bank-hana = Hana Bank
bank-shinhan = Shinhan Bank
bank-k = K Bank
bank-kakao = KakaoBank
bank-toss = Toss Bank

## Trouble

no-such-page = There is no such page
no-such-page-text = The address has changed or was mistyped.
not-from-here = That request came from another site
not-from-here-text = Nothing was changed. Please try again on the shop’s own page.
too-fast = Too many requests
too-fast-text = Please try again in a moment.
bad-link = That address is not right
bad-link-text = Please check that the address is complete.
trouble = Something is wrong on our side
trouble-text = Please try again in a moment. If you were paying, please look at your orders before you pay again.

## Signing in

sign-in-unavailable = Signing in is not possible right now
sign-in-unavailable-text = You can go on buying as a guest. Your orders move to your account when you sign in later.
sign-in-refused = You were not signed in
sign-in-refused-text = Please sign in again. You can also go on buying as a guest.
signed-out = You have signed out
signed-out-text = This browser no longer shows your orders.

## Notifications

notify-on = Notify me on this device
notify-off = Stop notifying this device
notify-denied = Notifications are blocked in this browser’s settings.
notify-failed = That did not work. Please try again shortly.
